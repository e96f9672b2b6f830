"""Prints, as JSON, what Python's readers of YAML see in the files given on standard input.

In: one JSON object a line, {"path", "text"}. Out: for each of them and each reader one JSON object a line,
{"path", "reader", "documents"} or {"path", "reader", "error"}. Empty documents are left out.
"""

import json
import sys

import ruamel.yaml
import yaml

READERS = {
    "PyYAML (YAML 1.1)": lambda text: yaml.load_all(text, Loader=yaml.SafeLoader),
    "libyaml (YAML 1.1)": lambda text: yaml.load_all(text, Loader=yaml.CSafeLoader),
    "ruamel.yaml (YAML 1.2)": lambda text: ruamel.yaml.YAML(typ="safe", pure=True).load_all(text),
}


def check_keys(value):
    """JSON's writer would make strings of keys that are none."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} is no string")
            check_keys(inner)
    elif isinstance(value, list):
        for inner in value:
            check_keys(inner)


def ask(name, path, text):
    answer = {"path": path, "reader": name}
    try:
        documents = [document for document in READERS[name](text) if document is not None]
        check_keys(documents)
        return json.dumps(answer | {"documents": documents}, allow_nan=False)
    except Exception as error:  # whatever it is, the test has to show it
        return json.dumps(answer | {"error": f"{type(error).__name__}: {error}"})


def main():
    for line in sys.stdin:
        file = json.loads(line)
        for name in READERS:
            print(ask(name, file["path"], file["text"]))


main()
