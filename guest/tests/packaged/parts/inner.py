import pathlib


def text():
    return pathlib.Path(__file__).with_name("text.txt").read_text()
