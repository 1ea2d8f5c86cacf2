import pytest

from mfal.errors import AccessError
from mfal.laboratory.access import VARIABLE, read_token

TOKEN = "0123456789abcdefghijklmnop"


def test_the_token_comes_from_the_environment_or_a_private_file(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, TOKEN)
    assert read_token(None) == TOKEN
    file = tmp_path / "token"
    file.write_text(f"{TOKEN[::-1]}\n")
    file.chmod(0o600)
    assert read_token(file) == TOKEN[::-1]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_file_that_others_can_read_is_refused(tmp_path, mode):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(mode)
    with pytest.raises(AccessError, match=f"has mode {mode:o}.*chmod 600"):
        read_token(file)


@pytest.mark.parametrize("token", ["", "short", "with a line\nbreak in the middle of it", "ümläute sind nicht erlaubt"])
def test_a_weak_token_is_refused(monkeypatch, token):
    monkeypatch.setenv(VARIABLE, token)
    with pytest.raises(AccessError, match="make one with"):
        read_token(None)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(AccessError, match="cannot be read"):
        read_token(tmp_path / "token")
