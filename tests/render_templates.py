#!/usr/bin/env python3
"""Renders the template cases of tests/data/templates with python3-jinja2, set up as Hugging Face's
apply_chat_template sets it up, and writes the results as JSON: the expected.json beside them.

    python3 tests/render_templates.py > tests/data/templates/expected.json
"""
import datetime
import json
import pathlib

import jinja2
import jinja2.ext
import jinja2.sandbox

DATA = pathlib.Path(__file__).parent / "data" / "templates"


class Generation(jinja2.ext.Extension):
    """{% generation %} marks what the assistant says; its body is printed."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_print"), [], [], body).set_lineno(line)

    def _print(self, caller):
        return caller()


def refuse(message):
    raise jinja2.exceptions.TemplateError(message)


def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


ENVIRONMENT = jinja2.sandbox.ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
ENVIRONMENT.filters["tojson"] = to_json
ENVIRONMENT.globals["raise_exception"] = refuse
ENVIRONMENT.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)


def render(source, context):
    try:
        return {"text": ENVIRONMENT.from_string(source).render(**context)}
    except Exception:  # whatever Python raises inside a template
        return {"error": True}


def main():
    expressions = json.loads((DATA / "expressions.json").read_text())
    conversations = json.loads((DATA / "conversations.json").read_text())
    results = []
    for source in expressions["templates"]:
        results.append({"template": source, **render(source, expressions["context"])})
    for path in sorted(DATA.glob("*.jinja")):
        for index, context in enumerate(conversations):
            results.append({"file": path.name, "conversation": index,
                            **render(path.read_text(), context)})
    print("[\n" + ",\n".join(json.dumps(r, ensure_ascii=False) for r in results) + "\n]")


if __name__ == "__main__":
    main()
