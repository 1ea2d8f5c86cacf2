import numpy as np
import pytest

from mfal.errors import GenerationError
from mfal.generate.corpus import Corpus, read_corpus
from mfal.space.formula import Formula


def _file(folder, text):
    file = folder / "corpus.txt"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_text_file_is_read_with_comments_and_repeats(tmp_path):
    corpus = read_corpus(_file(tmp_path, "# sulphides\nMoS2\n\nWS2  # layered\nMo2S4\nMo0.5W0.5S2\n"))
    assert corpus.elements == ("Mo", "W", "S")
    assert corpus.formulas == ("MoS2", "WS2", "Mo0.5W0.5S2")
    np.testing.assert_allclose(corpus.fractions, [[1 / 3, 0, 2 / 3], [0, 1 / 3, 2 / 3], [1 / 6, 1 / 6, 2 / 3]])


def test_a_table_is_read_by_its_column(tmp_path):
    corpus = read_corpus(_file(tmp_path, 'target,formula,note\n1.0,MoS2,"a, b"\n2.0,WSe2,\n'))
    assert corpus.formulas == ("MoS2", "WSe2")


def test_membership_is_of_compositions():
    corpus = Corpus.of(["MoS2", "W3O7"])
    assert Formula.parse("Mo4S8") in corpus
    assert Formula.parse("O14W6") in corpus
    assert Formula.parse("MoS3") not in corpus
    assert Formula.parse("NaCl") not in corpus


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("MoS2\nXxS2\n", r"corpus.txt:2: .*Xx"),
        ("MoS2\nMo-1S2\n", r"corpus.txt:2: .*'-'"),
        ("MoS2\n\nMonanS2\n", r"corpus.txt:3: .*'n'"),
        ("Mo0S0\n", r"corpus.txt:1: .*no atom"),
        ("", "holds no formula"),
        ("# nothing\n\n", "holds no formula"),
        ("formula,target\n", "holds no formula"),
        ("target,formula\n1.0,MoS2\n2.0\n", r"corpus.txt:3: .*lacks the column"),
        ("target,formula\n1.0,Mo-S\n", r"corpus.txt:2: "),
    ],
)
def test_bad_files_are_refused_with_file_and_line(tmp_path, text, told):
    with pytest.raises(GenerationError, match=told):
        read_corpus(_file(tmp_path, text))


def test_no_file_is_refused(tmp_path):
    with pytest.raises(GenerationError, match="cannot be read"):
        read_corpus(tmp_path / "none.txt")


def test_no_formulas_are_refused():
    with pytest.raises(GenerationError, match="empty"):
        Corpus.of([])
