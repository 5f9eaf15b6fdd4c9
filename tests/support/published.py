"""The 14 subnets that the NAT authors released, and what is known of them.

Encodings and computed figures: the released `net.encoding` strings (ImageNet) and the same rule applied to the released
`net.subnet` files; MAdds of the name: the folder's name, for ImageNet the paper's.
"""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """A released subnet: millions of params and of multiply-adds, and the multiply-adds its name gives."""

    name: str
    classes: int
    encoding: str
    params_m: float
    madds_m: float
    named_madds_m: int
    resolution: int
    width: float
    depths: tuple[int, ...]

    def __str__(self) -> str:
        return self.name


_ROWS = (
    ("imagenet NAT-M1", 1000, "08011001440551052208877", 6.07, 222.6, 225, 224, 1.0, "23334"),
    ("imagenet NAT-M2", 1000, "08111003100632076009771", 7.69, 302.9, 312, 224, 1.2, "22324"),
    ("imagenet NAT-M3", 1000, "08121105451581189759771", 9.07, 482.4, 490, 224, 1.2, "34444"),
    ("imagenet NAT-M4", 1000, "12115105572981578947781", 9.14, 599.7, 600, 240, 1.2, "34444"),
    ("aircraft", 100, "15111001100533282104144", 5.10, 384.7, 388, 252, 1.2, "22434"),
    ("cars", 196, "16012006400351023002400", 2.63, 197.0, 199, 256, 1.0, "22322"),
    ("cifar10", 10, "08133009600943296979931", 6.86, 464.1, 468, 224, 1.2, "22444"),
    ("cifar100", 100, "08197999999996996999999", 8.98, 791.3, 796, 224, 1.2, "44444"),
    ("cinic10", 10, "08128009990690089909999", 8.11, 497.7, 501, 224, 1.2, "23234"),
    ("dtd", 47, "09075003100710084005540", 3.08, 208.8, 211, 228, 1.0, "22223"),
    ("flowers102", 102, "12123404850390083106400", 4.18, 398.7, 400, 240, 1.2, "33232"),
    ("food101", 101, "15034206741431084317770", 4.47, 357.2, 361, 252, 1.0, "34343"),
    ("pets", 37, "10111007700741233319900", 5.00, 384.1, 386, 232, 1.2, "22442"),
    ("stl10", 10, "10063007141993599217971", 4.98, 367.7, 369, 232, 1.0, "24444"),
)

PUBLISHED = tuple(
    Published(
        name=name,
        classes=classes,
        encoding=encoding,
        params_m=params_m,
        madds_m=madds_m,
        named_madds_m=named,
        resolution=resolution,
        width=width,
        depths=tuple(map(int, depths)),
    )
    for name, classes, encoding, params_m, madds_m, named, resolution, width, depths in _ROWS
)
