"""What a machine is: the texts are those of real ones, shortened to a core of each type."""

import itertools

import pytest

from natdeploy.runtimes.machine_identity import describe_arm_cores, read_chip, read_serial

FEATURES = "BogoMIPS\t: 48.00\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32\n"


def core(number, implementer, part, variant="0x0", revision="0", name=""):
    """Return what Linux lists for an ARM core."""
    title = f"model name\t: {name}\n" if name else ""
    return (
        f"processor\t: {number}\n{title}{FEATURES}CPU implementer\t: {implementer}\nCPU architecture: 8\n"
        f"CPU variant\t: {variant}\nCPU part\t: {part}\nCPU revision\t: {revision}\n\n"
    )


A55, A76 = core(0, "0x41", "0xd05", "0x2"), core(4, "0x41", "0xd0b", "0x4")
ROCK_5B = A55 + A76
JETSON_NANO = core(0, "0x41", "0xd07", "0x1", "1") + core(1, "0x41", "0xd07", "0x1", "1")
XAVIER_NX = core(0, "0x4e", "0x004", name="ARMv8 Processor rev 0 (v8l)")
NANOPI = core(0, "0x41", "0xd03", revision="4") + "Hardware\t: Allwinnersun50iw2Family\nSerial\t\t: 0000000000000000\n"
PI_3 = core(0, "0x41", "0xd03", revision="4") + (
    "Revision\t: a22082\nSerial\t\t: 000000009ec1f24d\nModel\t\t: Raspberry Pi 3 Model B Rev 1.2\n"
)
GRAVITON = core(0, "0x41", "0xd40", "0x1", "1")
NEXUS_5X = (
    "Processor\t: AArch64 Processor rev 3 (aarch64)\nprocessor\t: 0\nprocessor\t: 1\nCPU implementer\t: 0x41\n"
    "CPU variant\t: 0x0\nCPU part\t: 0xd03\nCPU revision\t: 3\n\nHardware\t: Qualcomm Technologies, Inc MSM8992\n"
)
VISIONFIVE = "processor\t: 0\nhart\t\t: 1\nisa\t\t: rv64imafdc\nmmu\t\t: sv39\nuarch\t\t: sifive,u74-mc\n\n"
XEON = (
    "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 85\nmodel name\t: Intel(R) Xeon(R) Platinum 8259CL CPU\n\n"
)


@pytest.fixture
def machine(tmp_path):
    """Return a function that writes the files of a machine and returns their root."""
    numbers = itertools.count()

    def make(cpuinfo, **files):
        root = tmp_path / str(next(numbers))
        for name, text in {"proc/cpuinfo": cpuinfo, **files}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return root

    return make


def card(root, name, bus, address, assigned="0"):
    """Add a network card on a bus."""
    folder, driver = root / "sys/class/net" / name, root / "sys/bus" / bus
    (folder / "device").mkdir(parents=True)
    driver.mkdir(parents=True, exist_ok=True)
    (folder / "device/subsystem").symlink_to(driver)
    (folder / "address").write_text(f"{address}\n")
    (folder / "addr_assign_type").write_text(f"{assigned}\n")


@pytest.mark.parametrize(
    ("cpuinfo", "files", "chip"),
    [
        (ROCK_5B, {"proc/device-tree/model": "Radxa ROCK 5B\0"}, "Radxa ROCK 5B (0x41/0xd05 r2p0, 0x41/0xd0b r4p0)"),
        (
            JETSON_NANO,
            {"sys/firmware/devicetree/base/model": "NVIDIA Jetson Nano Developer Kit\0"},
            "NVIDIA Jetson Nano Developer Kit (0x41/0xd07 r1p1)",
        ),
        (
            XAVIER_NX,
            {"proc/device-tree/model": "NVIDIA Jetson Xavier NX\0"},
            "NVIDIA Jetson Xavier NX (0x4e/0x004 r0p0)",
        ),
        (PI_3, {}, "Raspberry Pi 3 Model B Rev 1.2 (0x41/0xd03 r0p4)"),
        (NEXUS_5X, {}, "Qualcomm Technologies, Inc MSM8992 (0x41/0xd03 r0p3)"),
        (
            GRAVITON,
            {"sys/class/dmi/id/sys_vendor": "Amazon EC2\n", "sys/class/dmi/id/product_name": "m7g.large\n"},
            "Amazon EC2 m7g.large (0x41/0xd40 r1p1)",
        ),
        (VISIONFIVE, {"proc/device-tree/model": "StarFive VisionFive 2 v1.3B\0"}, "StarFive VisionFive 2 v1.3B"),
        (XEON, {"sys/class/dmi/id/product_name": "m5.large\n"}, "Intel(R) Xeon(R) Platinum 8259CL CPU"),
    ],
)
def test_a_chip_has_a_name_of_its_own(machine, cpuinfo, files, chip):
    """A PC's or server's processor has its name; a board has its own, with the types of its cores."""
    assert read_chip(machine(cpuinfo, **files)) == chip


def test_boards_that_tell_nothing_else_differ_by_their_cores(machine):
    """Without a device tree, two kinds of boards are still told apart; that was "aarch64" for both."""
    assert read_chip(machine(ROCK_5B)) != read_chip(machine(JETSON_NANO))


def test_switched_off_cores_do_not_make_another_board():
    """Neither the order nor the number of the cores counts."""
    assert describe_arm_cores(A55 * 4 + A76 * 2) == describe_arm_cores(A76 + A55) == "0x41/0xd05 r2p0, 0x41/0xd0b r4p0"
    assert describe_arm_cores(XEON) == ""


@pytest.mark.parametrize(
    ("cpuinfo", "files", "serial"),
    [
        (PI_3, {}, "000000009ec1f24d"),
        (PI_3, {"proc/device-tree/serial-number": "10000000abcdef01\0"}, "10000000abcdef01"),
        (ROCK_5B, {"sys/devices/soc0/serial_number": "4242\n"}, "4242"),
        (XEON, {"etc/machine-id": "0123456789abcdef\n"}, ""),
        ("", {"etc/machine-id": "0123456789abcdef\n"}, ""),
        (ROCK_5B, {}, ""),
    ],
)
def test_a_serial_number_is_read_where_there_is_one(machine, cpuinfo, files, serial):
    """The device tree's number comes before others; machines whose processor has a name have none, as ever."""
    assert read_serial(machine(cpuinfo, **files)) == serial


def test_boards_without_serial_numbers_differ_by_their_network_cards(machine):
    """Two equal boards whose serial number is all zeros are told apart, and a board stays the same with a USB card."""
    first, second, again = machine(NANOPI), machine(NANOPI), machine(NANOPI)
    card(first, "eth0", "platform", "02:01:a1:00:00:01")
    card(second, "eth0", "platform", "02:01:a1:00:00:02")
    card(again, "eth0", "platform", "02:01:a1:00:00:01")
    card(again, "aux0", "usb", "00:e0:4c:68:00:01")
    assert read_serial(first) != read_serial(second)
    assert read_serial(first) == read_serial(again) != ""


def test_boards_without_a_lasting_network_address_differ_by_their_systems(machine):
    """An address that is drawn at each start identifies nothing; the number of the installed system does."""
    first = machine(NANOPI, **{"etc/machine-id": "aaaa\n"})
    second = machine(NANOPI, **{"etc/machine-id": "bbbb\n"})
    again = machine(NANOPI, **{"etc/machine-id": "aaaa\n"})
    card(first, "eth0", "platform", "02:01:a1:00:00:01", assigned="1")
    card(again, "eth0", "platform", "02:01:a1:00:00:09", assigned="1")
    assert read_serial(first) == read_serial(again) != read_serial(second)
    assert "aaaa" not in read_serial(first)
