# SPDX-License-Identifier: Apache-2.0
"""Rows that are kept name the code that made them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation import row_store
from diffusion_control.evaluation.row_store import RowFile, read_rows


def store(folder: Path, resume: bool) -> row_store.RowStore:
    """Return the store of a folder whose rows are named by `n`."""
    return row_store.RowStore(folder, {'seed': 0}, resume=resume, key=lambda row: row['n'])


def test_rows_of_other_code_are_kept_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A resumed run says that its rows are of two commits; the same commit says nothing."""
    monkeypatch.setattr(row_store, 'commit_of_code', lambda: 'old')
    store(tmp_path, False).add([{'n': 1}, {'n': 2}])
    store(tmp_path, True)
    assert not capsys.readouterr().err
    monkeypatch.setattr(row_store, 'commit_of_code', lambda: 'new')
    assert set(store(tmp_path, True).rows) == {1, 2}
    said = capsys.readouterr().err
    assert '2 rows' in said and 'old' in said and 'new' in said
    assert json.loads((tmp_path / row_store.COMMITS).read_text()) == ['old', 'new']


def test_other_settings_are_named(tmp_path: Path) -> None:
    store(tmp_path, False).add([{'n': 1}])
    with pytest.raises(ConfigurationError, match='other settings') as caught:
        row_store.RowStore(tmp_path, {'seed': 1}, resume=True, key=lambda row: row['n'])
    assert caught.value.value == 'seed: 0 -> 1'
    assert set(store(tmp_path, True).rows) == {1}, 'nothing is lost'


def test_contents_are_those_of_files_and_of_models(tmp_path: Path) -> None:
    (tmp_path / 'model').mkdir()
    for name in ('a.txt', 'model/card.json'):
        (tmp_path / name).write_bytes(b'abc')
    abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
    files = [str(tmp_path / 'a.txt'), tmp_path / 'model']
    assert row_store.contents([*files, tmp_path, tmp_path / 'none', '', None, 'umaze']) == {
        str(name): abc for name in files}


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path) -> None:
    first = store(tmp_path, False)
    first.add([{'n': 1}])
    for resume in (True, False):
        with pytest.raises(ConfigurationError, match='another run is writing'):
            store(tmp_path, resume)
    first.write_result({})
    assert set(store(tmp_path, True).rows) == {1}, 'nothing was lost'


def test_what_was_measured_of_a_model_makes_no_other_model_of_it(tmp_path: Path) -> None:
    def of(**card: object) -> str:
        (tmp_path / 'card.json').write_text(json.dumps(card))
        return row_store.contents([tmp_path])[str(tmp_path)]
    plain = of(sha256='a', score={'value': None}, card_sha256='one')
    assert of(sha256='a', score={'value': 0.9}, card_sha256='two') == plain
    assert of(sha256='b', score={'value': None}) != plain


def test_rows_begun_anew_forget_other_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --resume nothing is kept, so there is nothing to say."""
    monkeypatch.setattr(row_store, 'commit_of_code', lambda: 'old')
    store(tmp_path, False).add([{'n': 1}])
    monkeypatch.setattr(row_store, 'commit_of_code', lambda: 'new')
    assert not store(tmp_path, False).rows and not capsys.readouterr().err
    assert json.loads((tmp_path / row_store.COMMITS).read_text()) == ['new']


def test_rows_of_a_benchmark_are_gone_on_with_only_as_they_were_made(tmp_path: Path) -> None:
    file, asked = tmp_path / 'rows.jsonl', {'tier': 'hard', 'model': Path('a')}
    RowFile(file, asked).add([{'seed': 1}])
    again = RowFile(file, asked)
    again.add([{'seed': 2}])
    assert [row['seed'] for row in again.rows] == [1, 2] and len(read_rows(file)) == 2
    with pytest.raises(ConfigurationError, match='other settings'):
        RowFile(file, {**asked, 'tier': 'easy'})
    assert RowFile(None, asked).rows == []
