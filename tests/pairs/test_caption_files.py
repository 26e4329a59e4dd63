"""Text tables in every encoding, delimiter and kind of disorder: nothing is cut, merged or dropped unsaid."""

import json
from pathlib import Path, PurePosixPath

import pytest

from itr_core.errors import SourceError
from itr_core.pairs import load_pairs
from itr_core.pairs.caption_files import CaptionRow, choose_caption_files, read_caption_file
from itr_core.pairs.captions import MAX_CHARACTERS
from itr_core.pairs.columns import Columns
from itr_core.pairs.report import Report
from tests.support import Paint

ROWS = [("a.jpg", "one, two"), ("b c.jpg", "three"), ("a.jpg", "four")]


def read(
    path: Path, content: str | bytes, columns: Columns | None = None
) -> tuple[list[tuple[str, list[str]]], Report]:
    """Return the file names and captions of a file with this content, and what is reported."""
    report = Report()
    data = content.encode() if isinstance(content, str) else content
    rows = read_caption_file(data, str(path), columns or {}, report)
    return [(row.file_name, row.captions) for row in rows], report


# The rows of ROWS in many forms: {0} to {5} are file, caption, file, caption, file, caption.
FORMS = {
    "open_clip's table": ("captions.tsv", "filepath\ttitle\n{0}\t{1}\n{2}\t{3}\n{4}\t{5}\n"),
    "tabs in a .csv": ("metadata.csv", "filepath\ttitle\n{0}\t{1}\n{2}\t{3}\n{4}\t{5}\n"),
    "semicolons": ("metadata.csv", "file_name;caption\n{0};{1}\n{2};{3}\n{4};{5}\n"),
    "other delimiters": ("metadata.csv", "file_name^caption\n{0}^{1}\n{2}^{3}\n{4}^{5}\n"),
    "unquoted commas": ("metadata.csv", "file_name,caption\n{0},{1}\n{2},{3}\n{4},{5}\n"),
    "captions first": ("captions.csv", "caption,file_name\n{1},{0}\n{3},{2}\n{5},{4}\n"),
    "captions in the middle": ("a.csv", "file_name,caption,split\n{0},{1},x\n{2},{3},x\n{4},{5},x\n"),
    "all quoted": ("a.csv", '"file_name","caption"\n"{0}","{1}"\n"{2}","{3}"\n"{4}","{5}"\n'),
    "spaces in the header": ("metadata.csv", "file_name, Caption\n{0}, {1}\n{2}, {3}\n{4}, {5}\n"),
    "upper case": ("metadata.csv", "File Name,TEXT\n{0},{1}\n{2},{3}\n{4},{5}\n"),
    "Kaggle's Flickr30k": (
        "captions.txt",
        "image_name,comment_number,comment\n{0},0, {1}\n{2},0, {3}\n{4},1, {5}\n",
    ),
    "results.csv": (
        "results.csv",
        "image_name| comment_number| comment\n{0}| 0| {1}\n{2}| 0   {3}\n{4}| 1| {5}\n",
    ),
    "numbers without a header": ("captions.txt", "{0},0,{1}\n{2},0,{3}\n{4},1,{5}\n"),
    "Flickr8k.token.txt": ("Flickr8k.token.txt", "{0}#0\t{1}\n{2}#0\t{3}\n{4}#1\t{5}\n"),
    "comments and blank lines": (
        "captions.txt",
        "# made by hand\n\nimage,caption\n\n{0},{1}\n# more\n{2},{3}\n   \n{4},{5}",
    ),
    "a delimiter declared for Excel": ("a.csv", "sep=_\nimage_caption\n{0}_{1}\n{2}_{3}\n{4}_{5}\n"),
    "the index of pandas": ("a.csv", ',file_name,caption\n0,{0},"{1}"\n1,{2},{3}\n2,{4},{5}\n'),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_form_says_the_same(form: str, end: str, tmp_path: Path) -> None:
    name, text = FORMS[form]
    rows, report = read(tmp_path / name, text.format(*sum(ROWS, ())).replace("\n", end))
    assert rows == [(file, [caption]) for file, caption in ROWS]
    assert (report.skipped, report.notes) == ([], [])


def json_forms() -> dict[str, str]:
    records = [{"image": file, "caption": caption} for file, caption in ROWS]
    lines = "\n".join(json.dumps(record) for record in records)
    return {
        "a.jsonl": lines,
        "lines.json": lines,
        "b.jsonl": json.dumps(records, indent=1),
        "list.json": json.dumps(records),
        "data.json": json.dumps({"info": {}, "data": records}),
        "by column.json": json.dumps({key: [record[key] for record in records] for key in records[0]}),
        "pandas.json": json.dumps(
            {key: {str(row): record[key] for row, record in enumerate(records)} for key in records[0]}
        ),
        "map.json": json.dumps({"a.jpg": ["one, two", "four"], "b c.jpg": "three"}),
    }


@pytest.mark.parametrize("name", json_forms())
def test_json_of_every_form_says_the_same(name: str, paint: Paint, tmp_path: Path) -> None:
    for file in {file for file, _ in ROWS}:
        paint(file)
    (tmp_path / name).write_text(json_forms()[name])
    pairs = load_pairs(f"table:{tmp_path / name}")
    assert dict(zip(pairs.image_ids, pairs.captions, strict=True)) == {
        "a.jpg": ["one, two", "four"],
        "b c.jpg": ["three"],
    }
    assert (pairs.skipped, pairs.notes) == ([], [])


FRENCH = "file_name,caption\na.jpg,une tête près de l'évier à droite\n"
ENCODINGS = {
    "utf-8": FRENCH, "utf-8-sig": FRENCH, "utf-16": FRENCH, "utf-16-le": FRENCH, "utf-16-be": FRENCH,
    "utf-32": FRENCH, "utf-32-le": FRENCH, "latin-1": FRENCH,
    "cp1252": "file_name,caption\na.jpg,a “quoted” ball – it’s 5€\n",
    "cp1251": "file_name,caption\na.jpg,красный мяч лежит на белом столе\n",
    "cp1253": "file_name,caption\na.jpg,μια κόκκινη μπάλα στο τραπέζι\n",
    "cp1250": "file_name,caption\na.jpg,żółta piłka leży na stole\n",
    "shift_jis": "file_name,caption\na.jpg,赤いボールが白い紙の上にある\n",
    "gb18030": "file_name,caption\na.jpg,一个红色的球放在白纸上\n",
}  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings_are_recognised(encoding: str, tmp_path: Path) -> None:
    text = ENCODINGS[encoding]
    rows, report = read(tmp_path / "metadata.csv", text.encode(encoding))
    assert rows == [("a.jpg", [text.splitlines()[1].partition(",")[2]])]
    assert bool(report.notes) == (not encoding.startswith("utf"))


def test_single_lines_in_another_encoding_are_named(tmp_path: Path) -> None:
    content = "a.jpg,naïve\n".encode() + "b.jpg,café\n".encode("latin-1")
    rows, report = read(tmp_path / "captions.txt", content)
    assert rows == [("a.jpg", ["naïve"]), ("b.jpg", ["café"])]
    assert report.notes == [f"Lines that are not UTF-8, read as cp1252: 1 ({tmp_path}/captions.txt, line 2)."]


def test_separators_inside_captions_do_not_end_a_line(tmp_path: Path) -> None:
    caption = "one\x85two\u2028three\x0bfour\x1cfive"
    assert read(tmp_path / "captions.txt", f"a.jpg#0\t{caption}\n")[0] == [("a.jpg", [caption])]
    assert read(tmp_path / "a.csv", f"file_name,caption\na.jpg,{caption}\n")[0] == [("a.jpg", [caption])]
    line = json.dumps({"file_name": "a.jpg", "caption": caption}, ensure_ascii=False)
    assert read(tmp_path / "a.jsonl", line)[0] == [("a.jpg", [caption])]


def test_quotation_marks_that_do_not_match_stay_in_their_line(tmp_path: Path) -> None:
    text = (
        'file_name,caption\na.jpg,"one, two\nb.jpg,a 5" nail\nc.jpg,"so" he said\n'
        'd.jpg,"two\nlines"\ne.jpg,"a ""big"" one"\nf.jpg,"last'
    )
    rows, report = read(tmp_path / "metadata.csv", text)
    assert rows == [
        ("a.jpg", ['"one, two']), ("b.jpg", ['a 5" nail']), ("c.jpg", ['"so" he said']),
        ("d.jpg", ["two\nlines"]), ("e.jpg", ['a "big" one']), ("f.jpg", ['"last']),
    ]  # fmt: skip
    assert report.notes[0].startswith("Lines whose quotation marks do not match, read as they are: 3 (")


def test_lines_with_missing_fields_are_named(tmp_path: Path) -> None:
    rows, report = read(
        tmp_path / "a.csv", "file_name,split,caption\na.jpg,red\nb.jpg,test,blue\n,test,green\n"
    )
    assert rows == [("b.jpg", ["blue"])]
    assert [(name.rpartition("/")[2], reason) for name, reason in report.skipped] == [
        ("a.csv, line 2", "2 fields instead of 3"),
        ("a.csv, line 4", "no file name in the column file_name"),
    ]
    rows, report = read(tmp_path / "c.csv", "file_name,split,caption\na.jpg,2 red balls\nb.jpg,test,blue\n")
    assert rows == [("b.jpg", ["blue"])]
    rows, report = read(tmp_path / "b.csv", "file_name,caption_0,caption_1\na.jpg,red\nb.jpg,x,y,z\n")
    assert rows == [("a.jpg", ["red"])]
    assert report.skipped[0].reason == "4 fields instead of 3"


def test_bad_lines_of_json_are_named(tmp_path: Path) -> None:
    good = '{"file_name": "a.jpg", "caption": "one"}'
    deep = '{"file_name": "a.jpg", "caption": ' + "[" * 20_000 + "]" * 20_000 + "}"
    lines = [
        good,
        '{"file_name',
        "[1]",
        "null",
        deep,
        '{"file_name": null, "caption": "x"}',
        '{"caption": "y"}',
    ]
    rows, report = read(tmp_path / "a.jsonl", "\n".join(lines))
    assert rows == [("a.jpg", ["one"])]
    assert [name.rpartition(" ")[2] for name, _ in report.skipped] == ["2", "3", "4", "5", "6", "7"]


def test_names_and_captions_of_other_types(tmp_path: Path) -> None:
    records = [
        {"file_name": 17, "caption": 7},
        {"file_name": ["a.jpg"], "caption": [["one"], None, {"raw": "two"}, ""]},
        {"file_name": "b.jpg", "caption": {"en": "three"}},
        {"file_name": "c.jpg", "caption": {"text": {"de": ["vier"]}}},
        {"file_name": "d.jpg", "caption": '[{"raw": "five"}, {"raw": "six"}]'},
        {"file_name": "e.jpg", "caption": "[sic] (seven)"},
        {"file_name": "f.jpg", "caption": True},
        {"file_name": "g.jpg", "caption": "(5)"},
        {"file_name": "h.jpg", "caption": '("eight")'},
        {"file_name": "i.jpg", "caption": "{'z', 'a'}"},
        {"file_name": "j.jpg", "caption": {"id": "x", "url": "y"}},
    ]
    rows, report = read(tmp_path / "a.jsonl", "\n".join(map(json.dumps, records)))
    assert rows == [
        ("17", []), ("['a.jpg']", ["one", "two"]), ("b.jpg", ["three"]), ("c.jpg", ["vier"]),
        ("d.jpg", ["five", "six"]), ("e.jpg", ["[sic] (seven)"]), ("f.jpg", []),
        ("g.jpg", ["(5)"]), ("h.jpg", ['("eight")']), ("i.jpg", ["a", "z"]), ("j.jpg", []),
    ]  # fmt: skip
    assert report.notes == [f"Captions that are numbers, which are not read: 2 ({tmp_path}/a.jsonl, line 1, "
                            f"{tmp_path}/a.jsonl, line 7)."]  # fmt: skip


def test_invalid_characters_are_replaced_and_named(tmp_path: Path) -> None:
    captions = {"a.jpg": "half \ud83d", "b.jpg": "\ud83d\ude00", "c.jpg": "nul\0l"}
    lines = [json.dumps({"file_name": name, "caption": caption}) for name, caption in captions.items()]
    rows, report = read(tmp_path / "a.jsonl", "\n".join(lines))
    assert rows == [("a.jpg", ["half \ufffd"]), ("b.jpg", ["😀"]), ("c.jpg", ["nul l"])]
    assert report.notes[0].startswith("Captions with invalid characters, which were replaced: 2 (")
    rows, _ = read(tmp_path / "a.csv", "file_name,caption\na.jpg,nul\0l\n")
    assert rows == [("a.jpg", ["nul l"])]


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_huge_caption_is_named(quote: str, tmp_path: Path) -> None:
    text = f"file_name,caption\na.jpg,{quote}{'x' * 2 * MAX_CHARACTERS}{quote}\nb.jpg,fine\n"
    rows, report = read(tmp_path / "a.csv", text)
    assert rows == [("a.jpg", []), ("b.jpg", ["fine"])]
    assert "the limit is 100,000" in report.skipped[0].reason


NAMES = {
    "caption", "Captions", "TEXT", "sentence", "title", "prompt", "alt", "alt text", "description", "query",
    "raw", "blip_caption", "short_caption", "image_caption", "caption_en", "caption_1", "caption_str",
    "comment",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(NAMES))
def test_caption_columns_of_usual_names(name: str, tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", f"file_name,{name}\na.jpg,one\n")[0] == [("a.jpg", ["one"])]


@pytest.mark.parametrize("name", ["label", "sentids", "en", "caption_id", "num_captions", "comment_number"])
def test_other_columns_are_refused_with_the_option(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=rf"among file_name, {name}.*--columns captions=NAME.*--columns captions= "
    ):
        read(tmp_path / "a.csv", f"file_name,{name}\na.jpg,one\n")
    chosen = read(tmp_path / "a.csv", f"file_name,{name}\na.jpg,one\n", {"captions": name})
    assert chosen[0] == [("a.jpg", ["one"])]
    none = read(tmp_path / "a.csv", f"file_name,{name}\na.jpg,one\n", {"captions": []})
    assert none[0] == [("a.jpg", [])]


def test_a_caption_column_without_captions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no caption in caption, among the columns file_name, caption"):
        read(tmp_path / "a.csv", "file_name,caption\na.jpg,\nb.jpg, \n")


def test_several_image_columns_are_refused(tmp_path: Path) -> None:
    line = '{"image_file_name": "a.jpg", "target_file_name": "b.jpg", "text": "make it green"}'
    with pytest.raises(
        SourceError, match=r"no column of file names .* image_file_name, target_file_name, text"
    ):
        read(tmp_path / "a.jsonl", line)


def test_labels_and_ids_are_kept() -> None:
    text = (
        "image_id,file_name,caption,label\nx#1,a.jpg,one,\"['dog', 'sea']\"\n7.0,b.jpg,two,cat\n,c.jpg,x,\n"
    )
    assert read_caption_file(text.encode(), "a.csv", {}, Report()) == [
        CaptionRow("a.jpg", ["one"], ["dog", "sea"], "x#1"),
        CaptionRow("b.jpg", ["two"], ["cat"], "7.0"),
        CaptionRow("c.jpg", ["x"], [], None),
    ]


def test_names_without_a_suffix_need_no_header() -> None:
    text = b"1000,one, two\n1001,three\n"
    rows = read_caption_file(
        text, "captions.txt", {}, Report(), is_name=lambda name: name in {"1000", "1001"}
    )
    assert [(row.file_name, row.captions) for row in rows] == [("1000", ["one, two"]), ("1001", ["three"])]


def test_a_list_of_files_has_no_captions(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no column of captions .*--columns captions= "):
        read(tmp_path / "a.txt", "a.jpg\nb.jpg\n")
    assert read(tmp_path / "a.txt", "a.jpg\nb.jpg\n", {"captions": []})[0] == [("a.jpg", []), ("b.jpg", [])]


def test_keys_of_structs_are_named_and_chosen(tmp_path: Path) -> None:
    text = '{"file_name": "a.jpg", "caption": {"short": "one", "long": "two"}}'
    with pytest.raises(SourceError, match=r"caption has the keys short, long: .* such as caption\.short"):
        read(tmp_path / "a.jsonl", text)
    assert read(tmp_path / "a.jsonl", text, {"captions": ["caption.long"]})[0] == [("a.jpg", ["two"])]


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    for text in ("", "image,caption\n", "\n# nothing\n"):
        with pytest.raises(SourceError, match=r"a\.csv: the file has no rows.*--columns captions="):
            read(tmp_path / "a.csv", text)
        assert read(tmp_path / "a.csv", text, {"captions": []})[0] == []


def test_one_caption_file_of_a_folder_is_chosen_and_the_others_named() -> None:
    names = [
        "captions.txt",
        "metadata.csv",
        "b/captions.tsv",
        "b/notes.txt",
        "c/Flickr8k.token.txt",
        "metadata.jsonl",
    ]
    report = Report()
    chosen = choose_caption_files(map(PurePosixPath, names), report)
    assert [path.as_posix() for path in chosen] == [
        "b/captions.tsv",
        "c/Flickr8k.token.txt",
        "metadata.jsonl",
    ]
    assert report.notes == [
        "metadata.csv is not read, because metadata.jsonl has the captions of this folder.",
        "captions.txt is not read, because metadata.jsonl has the captions of this folder.",
    ]


def test_a_table_searches_its_images(paint: Paint, tmp_path: Path) -> None:
    for name in ("set/images/a.jpg", "photos/b.jpg"):
        paint(name)
    (tmp_path / "set" / "captions.tsv").write_text("filepath\ttitle\na.jpg\tone\nb.jpg\ttwo\n")
    beside = load_pairs(f"{tmp_path}/set/captions.tsv")
    assert (beside.image_ids, beside.source) == (["a.jpg"], f"table:{tmp_path}/set/captions.tsv")
    assert [tuple(each) for each in beside.skipped] == [("b.jpg", "no such file")]
    elsewhere = load_pairs(f"table:{tmp_path}/set/captions.tsv", image_root=tmp_path / "photos", limit=1)
    assert elsewhere.captions == [["two"]]
    with pytest.raises(SourceError, match=r"none of its 2 images was found .*--image-root"):
        load_pairs(f"table:{tmp_path}/set/captions.tsv", image_root=tmp_path)


def test_a_column_of_splits_is_used(paint: Paint, tmp_path: Path) -> None:
    for name in "abc":
        paint(f"{name}.jpg")
    (tmp_path / "t.csv").write_text(
        "file_name,caption,split\na.jpg,one,train\nb.jpg,two,test\nc.jpg,x,restval\n"
    )
    assert load_pairs(f"table:{tmp_path}/t.csv:test").image_ids == ["b.jpg"]
    assert load_pairs(f"table:{tmp_path}/t.csv:train").image_ids == ["a.jpg", "c.jpg"]
    assert len(load_pairs(f"table:{tmp_path}/t.csv")) == 3
    with pytest.raises(SourceError, match=r"unknown split 'dev'. Known: restval, test, train"):
        load_pairs(f"table:{tmp_path}/t.csv:dev")
    (tmp_path / "u.csv").write_text("file_name,caption\na.jpg,one\n")
    with pytest.raises(SourceError, match="no column split among file_name, caption"):
        load_pairs(f"table:{tmp_path}/u.csv:test")


def test_two_names_of_one_file_are_one_image(paint: Paint, tmp_path: Path) -> None:
    paint("images/a.jpg")
    (tmp_path / "t.csv").write_text(
        "file_name,caption,label\na.jpg,one,x\nimages/a.jpg,two,y\n./a.jpg,three,x\n"
    )
    pairs = load_pairs(f"table:{tmp_path}/t.csv")
    assert (pairs.image_ids, pairs.captions) == (["a.jpg"], [["one", "two", "three"]])
    assert pairs.labels == [["x", "y"]]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00", bytes(range(128, 256)) * 9, b"\x00" * 64])
def test_what_is_no_table_is_refused(content: bytes, tmp_path: Path) -> None:
    for name in ("a.csv", "a.jsonl", "a.json", "captions.txt"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError):
            load_pairs(f"table:{tmp_path / name}")


HOSTILE = {
    "a.csv": "file_name,caption\na.jpg," + '"1' + " " * 60_000 + '\n"\n',
    "b.csv": "file_name," * 30_000 + "caption\na.jpg,x\n",
    "c.csv": "file_name,caption\n" + 'a.jpg,"open\n' * 3_000,
    "d.csv": "image_name|number|caption\na.jpg|1" + " " * 60_000 + "\n",
    "captions.txt": "a.jpg" + "#1" * 30_000 + "\tx\n" + "." * 60_000 + "#1\tx\n" + " " * 60_000 + "|x\n",
    "a.jsonl": '{"file_name": ' + "[" * 900 + "]" * 900 + ', "caption": "x"}\n' + "[" * 900 + "]" * 900,
    "b.jsonl": '{"file_name": "a.jpg", "caption": "' + "[" * 40_000 + "]" * 40_000 + '"}',
    "c.jsonl": '{"file_name": "a.jpg", "caption": ' + '{"en": ' * 900 + '"x"' + "}" * 900 + "}",
    "d.jsonl": '{"file_name": "a.jpg", "caption": "(' + "'x' " * 20_000 + ')"}',
    "e.jsonl": '{"file_name": ' + "9" * 5_000 + ', "caption": "x"}\n{"file_name": 1e999, "caption": 1e999}',
    "ids.json": '{"images": [{"id": "' + "0" * 100_000 + 'x", "file_name": "a.jpg"}], "annotations": []}',
    "a.json": '{"images": ['
    + '{"id": 1, "file_name": "a.jpg"},' * 3_000
    + '{"id": 1}], "annotations": [null]}',
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.timeout(20)
def test_hostile_files_are_read_or_refused_in_linear_time(name: str, paint: Paint, tmp_path: Path) -> None:
    paint("a.jpg")
    (tmp_path / name).write_text(HOSTILE[name])
    for source in (f"folder:{tmp_path}", f"table:{tmp_path / name}", f"coco:{tmp_path / name}"):
        message = ""
        try:
            load_pairs(source)
        except SourceError as error:
            message = str(error)
        assert len(message) < 2_000
