"""Why a login over ssh fails, read from what ssh says; the lines are constructed after public reports."""

from __future__ import annotations

import contextlib

import pytest

from natdeploy.runtimes.ssh import SshLink


@pytest.mark.parametrize(
    ("stderr", "reason", "hint"),
    [
        (
            "Unable to negotiate with 10.0.0.2 port 22: no matching host key type found. Their offer: ssh-rsa",
            "have no method in common: Unable to negotiate",
            "HostKeyAlgorithms +ssh-rsa",
        ),
        (
            "WARNING: UNPROTECTED PRIVATE KEY FILE!\nPermissions 0644 for 'id_rsa' are too open.\n"
            'Load key "id_rsa": bad permissions\nu@board: Permission denied (publickey).',
            "does not use your private key, because others may read it",
            "chmod 600",
        ),
        (
            'Load key "id_rsa": error in libcrypto\nu@board: Permission denied (publickey).',
            'cannot read your private key: Load key "id_rsa"',
            "copy the key file again",
        ),
        (
            'signing failed for "id" from agent: agent refused operation\nu@board: Permission denied (publickey).',
            "the ssh agent does not sign",
            "ssh-add",
        ),
        ("Bad owner or permissions on /home/u/.ssh/config", "does not accept its configuration", "correct the file"),
        ("config: line 3: Bad configuration option: foo", "does not accept its configuration", "correct the file"),
        ("You are required to change your password immediately", "needs a new password", "log in once"),
        ("Connection closed by 10.0.0.2 port 22", "closes the connection before the login", "fail2ban"),
        ("u@board: Permission denied (publickey).", "u@board refuses the login", "ssh-copy-id"),
        ("something that nobody knows", "ssh cannot log in: something that nobody knows", "None"),
    ],
)
def test_what_ssh_says_before_there_is_a_connection_is_told_apart(stderr, reason, hint):
    """What is wrong with a key, a configuration or an account is not called a connection that was cut."""
    with contextlib.closing(SshLink("u@board")) as link:
        error = link.interpret_failure(255, f"{stderr}\r\n")
        assert error is not None
        assert reason in error.message
        assert hint in str(error.hint)
        link.make_command("true")
        later = link.interpret_failure(255, "something that nobody knows")
    assert later is not None
    assert later.message == "the connection was cut: something that nobody knows"
