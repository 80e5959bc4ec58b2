from pathlib import Path

from embedded.valkey import configuration


def test_a_full_broker_refuses_and_does_not_forget():
    lines = configuration(Path("/d"), 6379, "pw").splitlines()

    assert "maxmemory-policy noeviction" in lines
    assert "appendfsync everysec" in lines
    assert "requirepass pw" in lines
    assert "bind 127.0.0.1" in lines


def test_a_folder_may_have_blanks_and_quotes():
    lines = configuration(Path('/home/me/my "own" folder'), 6379, "pw").splitlines()

    assert 'dir "/home/me/my \\"own\\" folder"' in lines
