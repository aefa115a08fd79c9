"""Templates of stages: what they may say, how Go would show it, and that everything else is refused with its line."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.kubelet.stages.functions import GENERAL, NAMES
from minik8s.kubelet.stages.gotemplate import Template, TemplateError

POD: dict[str, Any] = {
    "metadata": {"name": "web", "labels": {"a.b/c": "d", "app": "web"}},
    "spec": {"containers": [{"name": "one", "image": "i:1"}, {"name": "two", "image": "i:2"}], "hostNetwork": True},
    "status": {"restartCount": 3},
}


def render(text: str, data: Any = POD) -> str:
    return Template(text, GENERAL.keys()).render(data, GENERAL)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain {{ .metadata.name }}", "plain web"),
        ("{{ $.metadata.name }}{{/* not } this */}}", "web"),
        ('{{ index .metadata.labels "a.b/c" }}', "d"),
        ("{{ (index .spec.containers 1).name }}", "two"),
        ("{{ .metadata.name | Quote }}{{ 5 | Quote }}{{ nil | Quote }}", '"web""5""null"'),
        ("{{ .none }} {{ .none.below }} {{ true }}", "<no value> <no value> true"),
        ("{{ .metadata.labels }}", "map[a.b/c:d app:web]"),
        ("{{ if .spec.hostNetwork }}yes{{ else }}no{{ end }}", "yes"),
        ("{{ if .none }}a{{ else if eq .metadata.name `web` }}b{{ else }}c{{ end }}", "b"),
        ("{{ if and .metadata.name (not .none) }}both{{ end }}", "both"),
        ("{{ or .none `` .metadata.name }}{{ or false 0 }}", "web0"),
        ("{{ and .none (index .none 1) }}", "<no value>"),
        ("{{ with .metadata }}{{ .name }}{{ $.status.restartCount }}{{ end }}", "web3"),
        ("{{ with $x := .none }}a{{ else }}{{ .metadata.name }}{{ end }}", "web"),
        ("{{ range .spec.containers }}<{{ .name }}>{{ end }}", "<one><two>"),
        ("{{ range $i, $c := .spec.containers }}{{ $i }}{{ $c.image }},{{ end }}", "0i:1,1i:2,"),
        ("{{ range $c := .spec.containers }}{{ $c.name }}{{ end }}", "onetwo"),
        ("{{ range .none }}a{{ else }}nothing{{ end }}", "nothing"),
        ("{{ range $k, $v := .metadata.labels }}{{ $k }}={{ $v }};{{ end }}", "a.b/c=d;app=web;"),
        ("{{ range .spec.containers }}{{ if eq .name `two` }}{{ break }}{{ end }}{{ .name }}{{ end }}", "one"),
        ("{{ range .spec.containers }}{{ if eq .name `one` }}{{ continue }}{{ end }}{{ .name }}{{ end }}", "two"),
        ("{{ $n := 0 }}{{ range .spec.containers }}{{ $n = add1 $n }}{{ end }}{{ $n }}", "2"),
        ("{{ $n := 1 }}{{ if true }}{{ $n := 2 }}{{ end }}{{ $n }}", "1"),
        ("a {{- ` b ` -}} c", "a b c"),
        ("{{ define `x` }}[{{ .who }}{{ $.who }}]{{ end }}{{ template `x` dict `who` .metadata.name }}", "[webweb]"),
        ('{{ printf "%s-%03d-%q-%v" .metadata.name 7 "x" nil }}', 'web-007-"x"-<nil>'),
        ("{{ if ne (printf `%v` .status.restartCount) `0` }}{{ sub 5 2 }}{{ end }}", "3"),
        ("{{ len .spec.containers }}{{ lt 1 2 }}{{ ge 1 2 }}{{ eq 1 2 1 }}{{ eq true 1 }}", "2truefalsetruefalse"),
        ("{{ default `x` .none }}{{ ternary 1 2 true }}{{ empty `` }}{{ hasKey .metadata `name` }}", "x1truetrue"),
        ("{{ YAML (index .spec.containers 0) 1 }}", "\n  image: i:1\n  name: one\n  "),
        ('{{ "a}}b" }}', "a}}b"),
        ("{{ range 3 }}{{ . }}{{ end }}", "012"),
    ],
)
def test_what_templates_say(text: str, expected: str) -> None:
    """As Go's text/template with KWOK's functions would have it."""
    assert render(text) == expected


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a\n{{ Exec `rm` }}", 2, 'function "Exec" is not supported'),
        ("{{ if .a }}\nb", 2, "unexpected end of the template: no {{end}}"),
        ("\n\n{{ end }}", 3, "unexpected {{end}}"),
        ("{{ $x }}", 1, "undefined variable $x"),
        ("{{ if true }}{{ $x := 1 }}{{ end }}\n{{ $x }}", 2, "undefined variable $x"),
        ("{{ break }}", 1, "{{break}} outside of {{range}}"),
        ("{{ block `a` . }}{{ end }}", 1, "{{block}} is not supported"),
        ("{{ with .a }}{{ else with .b }}{{ end }}", 1, "{{else with}} is not supported"),
        ("x {{ .a", 1, "unclosed action"),
        ("{{ .a .b }}", 1, "what is no function cannot be given arguments"),
        ("{{ (.a }}", 1, "parentheses do not match"),
        ("{{ .a | }}", 1, "missing value"),
        ("{{ .a ? .b }}", 1, "unexpected '? .b'"),
        ("{{ range $a, $b, $c := .x }}{{ end }}", 1, "a range declares one or two variables"),
    ],
)
def test_what_is_refused(text: str, line: int, message: str) -> None:
    """When it is parsed, and with the line."""
    with pytest.raises(TemplateError) as caught:
        Template(text, NAMES["Pod"])
    assert (caught.value.line, caught.value.message) == (line, message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n{{ index .none `a` }}", "line 2: error calling index: index of nothing"),
        ("{{ index .spec.containers 9 }}", "line 1: error calling index: list index out of range"),
        ("{{ lower 5 }}", "line 1: error calling lower: 'int' object has no attribute 'lower'"),
        ("{{ range .metadata.name }}{{ end }}", "line 1: range can't iterate over web"),
        ("{{ template `none` . }}", 'line 1: template "none" is not defined'),
        (
            "{{ define `a` }}{{ template `a` }}{{ end }}{{ template `a` }}",
            "line 1: templates call each other without an end",
        ),
    ],
)
def test_what_fails_when_it_is_played(text: str, message: str) -> None:
    """An error of the template, whatever it is."""
    with pytest.raises(TemplateError) as caught:
        render(text)
    assert str(caught.value) == message
