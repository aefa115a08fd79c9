"""Kubernetes' function libraries: the examples of upstream's documentation and tests, with their results and errors."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.cel import (
    AUTHORIZER,
    DYN,
    RESOURCE_CHECK,
    Authorizer,
    BudgetError,
    Check,
    CompileError,
    Decision,
    EvaluationError,
    compile_expression,
)

DIGEST = "sha256:6aefddb645ee6963afd681b1845c661d0ea4c3b20ab9db86d9e753b203d385f2"
RESULTS: list[tuple[str, Any]] = [
    # strings
    ("'tacocat'.charAt(3) + 'a'.charAt(1)", "o"),
    ("'hello mellow'.indexOf('ello') + 'hello mellow'.indexOf('ello', 2) + 'hello mellow'.indexOf('jello')", 7),
    ("'hello mellow'.lastIndexOf('ello') + 'hello mellow'.lastIndexOf('ello', 6)", 8),
    ("['hello', 'mellow'].join() + ['a', 'b'].join('-') + [].join('x')", "hellomellowa-b"),
    ("'TacoCät'.lowerAscii() + 'TacoCät'.upperAscii()", "tacocätTACOCäT"),
    ("'hello hello'.replace('he', 'we') + 'hello hello'.replace('he', 'we', 1)", "wello wellowello hello"),
    ("'hello hello'.replace('he', 'we', 0)", "hello hello"),
    ("'hello hello hello'.split(' ')", ["hello", "hello", "hello"]),
    ("'hello hello hello'.split(' ', 2)", ["hello", "hello hello"]),
    ("'hello'.split(' ', 0)", []),
    ("'abc'.split('')", ["a", "b", "c"]),
    ("'tacocat'.substring(4) + 'tacocat'.substring(0, 4)", "cattaco"),
    (r"'  \ttrim\n    '.trim()", "trim"),
    (r"""strings.quote('single-quote with "double"')""", '"single-quote with \\"double\\""'),
    ("'a string: %s\\nand an integer: %d'.format([dyn('str'), 42])", "a string: str\nand an integer: 42"),
    ("'%s %s %s %s'.format([dyn(true), null, 1.5, b'x'])", "true null 1.5 x"),
    ("'%s'.format([[dyn(1), 'a', {'k': 2.0}, [true]]])", '[1, "a", {"k":2.000000}, [true]]'),
    ("'%s %s'.format([dyn(duration('1h')), timestamp(0)])", "3600s 1970-01-01T00:00:00Z"),
    ("'%.3f %f'.format([1234.56789, 2.0])", "1,234.568 2.000000"),
    ("'%.6e'.format([1052.032911275])", "1.052033 × 10⁰³"),
    ("'%b %b %o %x %X %x'.format([dyn(5), true, 8, 255, 255, 'hi'])", "101 1 10 ff FF 6869"),
    ("'%% %d'.format([1])", "% 1"),
    # lists and sets
    ("[1, 2, 3].isSorted() && !['b', 'a'].isSorted() && [].isSorted()", True),
    ("[1, 3].sum() + [].sum()", 4),
    ("[1.0, 3.0].sum()", 4.0),
    ("[duration('1m'), duration('1s')].sum()", "61s"),
    ("[1, 3].min() + [1, 3].max()", 4),
    ("[1, 2, 2, 3].indexOf(2) + ['a', 'b', 'b', 'c'].lastIndexOf('b') + [1.0].indexOf(1.1)", 2),
    ("sets.contains([1, 2, 3, 4], [2, 3]) && !sets.contains([1], [2])", True),
    ("sets.equivalent([1, 1, 2], [2, 1]) && sets.intersects([[1], [2, 3]], [[1, 2], [2, 3]])", True),
    # regex
    ("'abc 123'.find('[0-9]+') + 'abc'.find('[0-9]+')", "123"),
    ("'123 abc 456'.findAll('[0-9]+')", ["123", "456"]),
    ("'123 abc 456'.findAll('[0-9]+', 1)", ["123"]),
    ("'123'.findAll('[0-9]+', 0)", []),
    # urls
    ("isURL('https://user:pass@example.com:80/path?query=val#fragment') && isURL('/absolute-path')", True),
    ("isURL('https://a:b:c/') || isURL('../relative-path') || isURL('')", False),
    ("url('/path').getScheme() + url('https://example.com/').getScheme()", "https"),
    ("url('https://example.com:80/').getHost() + url('https://[::1]:80/').getHost()", "example.com:80[::1]:80"),
    ("url('https://[::1]:80/').getHostname() + url('https://127.0.0.1:80/').getHostname()", "::1127.0.0.1"),
    ("url('https://example.com:80/').getPort() + url('https://example.com/').getPort()", "80"),
    ("url('https://example.com/path with spaces/').getEscapedPath()", "/path%20with%20spaces/"),
    ("url('https://example.com').getEscapedPath()", ""),
    ("url('https://example.com/path?k1=a&k2=b&k2=c').getQuery()", {"k1": ["a"], "k2": ["b", "c"]}),
    ("url('https://example.com/p?key with spaces=v s').getQuery()", {"key with spaces": ["v s"]}),
    ("url('https://example.com/path?').getQuery()", {}),
    # quantities
    ("isQuantity('1.3G') && isQuantity('1.3Gi') && isQuantity('10000k')", True),
    ("isQuantity('1,3G') || isQuantity('200K') || isQuantity('Three') || isQuantity('Mi')", False),
    ("quantity('50000000G').isInteger() && !quantity('9999999999999999999999999999999999999G').isInteger()", True),
    ("quantity('50k').asInteger()", 50000),
    ("quantity('50k').sub(20000).asApproximateFloat()", 30000.0),
    ("quantity('50k').add(quantity('20k')) == quantity('70k')", True),
    ("quantity('50k').add(20).sub(quantity('100k')).sub(-50000) == quantity('20')", True),
    ("quantity('200M').compareTo(quantity('0.2G')) + quantity('50M').compareTo(quantity('50Mi'))", -1),
    ("quantity('150Mi').isGreaterThan(quantity('100Mi')) && quantity('50M').isLessThan(quantity('100M'))", True),
    ("quantity('-1').sign() + quantity('0').sign()", -1),
    ("quantity('1.5Gi')", "1536Mi"),
    # addresses
    ("isIP('192.168.0.1') && isIP('2001:db8::68') && !isIP('192.168.0.1.0') && !isIP('2001:db8:::68')", True),
    ("isIP('::ffff:1.2.3.4') || isIP('fe80::1%eth0') || isIP('01.2.3.4')", False),
    ("ip.isCanonical('127.0.0.1') && ip.isCanonical('2001:db8::68') && !ip.isCanonical('2001:DB8::68')", True),
    ("ip('192.168.0.1').family() + ip('2001:db8::68').family()", 10),
    ("ip('0.0.0.0').isUnspecified() && ip('127.0.0.1').isLoopback()", True),
    ("ip('224.0.0.1').isLinkLocalMulticast() && !ip('224.0.1.1').isLinkLocalMulticast()", True),
    ("ip('ff02::1').isLinkLocalMulticast() && !ip('fd00::1').isLinkLocalMulticast()", True),
    ("ip('169.254.169.254').isLinkLocalUnicast() && ip('fe80::1').isLinkLocalUnicast()", True),
    ("ip('192.168.0.1').isGlobalUnicast() && !ip('255.255.255.255').isGlobalUnicast()", True),
    ("ip('2001:db8::abcd').isGlobalUnicast() && !ip('ff00::1').isGlobalUnicast()", True),
    ("string(ip('192.168.0.1')) + string(cidr('192.168.0.1/24'))", "192.168.0.1192.168.0.1/24"),
    ("type(ip('192.168.0.1')) == net.IP && type(cidr('192.168.0.0/24')) == net.CIDR", True),
    ("cidr(dyn('192.168.0.0/24')).containsIP(ip('192.168.0.1'))", True),
    ("cidr('192.168.0.0/24').containsIP('192.168.1.1') || cidr('2001:db8::/32').containsIP('2001:dc8::1')", False),
    ("cidr('192.168.0.0/24').containsCIDR('192.168.0.0/25')", True),
    ("cidr('192.168.0.0/24').containsCIDR(cidr('192.168.0.0/23'))", False),
    ("cidr('192.168.0.1/24').masked() == cidr('192.168.0.0/24')", True),
    ("cidr('2001:db8:1::/32').masked() == cidr('2001:db8::/32')", True),
    ("cidr('192.168.0.0/24').ip() == ip('192.168.0.0') && cidr('::/0').prefixLength() == 0", True),
    ("isCIDR('10.0.0.0/8') && !isCIDR('10.0.0.0') && !isCIDR('10.0.0.0/33') && !isCIDR('10.0.0.0/08')", True),
    # versions
    ("isSemver('1.0.0') && isSemver('0.1.0-alpha.1+build') && !isSemver('hello') && !isSemver('v1.0')", True),
    ("isSemver('v1.0', true) && isSemver('01.01.01', true) && !isSemver('1.0-a', true)", True),
    ("semver('1.2.3').major() + semver('1.2.3').minor() + semver('1.2.3').patch()", 6),
    ("semver('1.2.3').compareTo(semver('2.0.0')) + semver('1.2.3').compareTo(semver('0.1.2'))", 0),
    ("semver('1.0.0-alpha.2').isLessThan(semver('1.0.0-alpha.10'))", True),
    ("semver('1.0.0').isGreaterThan(semver('1.0.0-a'))", True),
    ("semver('v1.0', true) == semver('1.0.0+b')", True),
    # formats
    ("format.dns1123Label().validate('my-label-name').hasValue()", False),
    ("format.named('uuid').value().validate('123e4567-e89b-12d3-a456-426614174000').hasValue()", False),
    ("format.named('nothing').hasValue()", False),
    ("format.uuid().validate('x').value()", ["does not match the UUID format"]),
    ("format.dns1123LabelPrefix().validate('my-label-prefix-').hasValue()", False),
    ("format.date().validate('2021-01-01').hasValue()", False),
    ("format.datetime().validate('2021-01-01T00:00:00Z').hasValue()", False),
    ("format.byte().validate('aGVsbG8=').hasValue() || format.uri().validate('http://example.com').hasValue()", False),
    ("format.qualifiedName().validate('apiextensions.k8s.io/v1beta1').hasValue()", False),
    ("format.dns1123Label().validate('A').value().size()", 1),
    # images
    ("image('nginx').registry() + '/' + image('nginx').repository()", "index.docker.io/library/nginx"),
    ("image('nginx').tag()", "latest"),
    ("image('registry.k8s.io/kube-apiserver-arm64:testtag').tag()", "testtag"),
    (f"image('registry.k8s.io/a-b:latest@{DIGEST}').identifier()", DIGEST),
    (f"image('registry.k8s.io/a-b@{DIGEST}').containsDigest() && !image('a/b:c').containsDigest()", True),
    ("isImage('registry.k8s.io//kube-apiserver-arm64') || isImage('Nginx')", False),
]  # fmt: skip

ERRORS = [
    ("'tacocat'.charAt(30)", "index out of range: 30"),
    ("'tacocat'.substring(40)", "index out of range: 40"),
    ("'tacocat'.substring(3, 1)", "invalid substring range. start: 3, end: 1"),
    ("'%d'.format(['x'])", "error during formatting: decimal clause can only be used on integers, was given string"),
    ("'%s %s'.format(['x'])", "index 1 out of range"),
    ("'%z'.format(['x'])", 'could not parse formatting clause: unrecognized formatting clause "z"'),
    ("[1].filter(x, false).min()", "min called on empty list"),
    (
        "url('../relative-path')",
        'URL parse error during conversion from string: parse "../relative-path": invalid URI for request',
    ),
    (
        "url('https://a:b:c/')",
        'URL parse error during conversion from string: parse "https://a:b:c/": invalid port ":c" after host',
    ),
    ("quantity('200K')", "unable to parse quantity's suffix"),
    ("quantity('9999999999999999999999999999999999999G').asInteger()", "cannot convert value to integer"),
    (
        "ip('192.168.0.1.0')",
        'IP Address "192.168.0.1.0" parse error during conversion from string: ParseAddr("192.168.0.1.0"): IPv4'
        " address too long",
    ),
    (
        "ip('2001:db8:::68')",
        'IP Address "2001:db8:::68" parse error during conversion from string: ParseAddr("2001:db8:::68"): each'
        ' colon-separated field must have at least one digit (at ":68")',
    ),
    (
        "cidr('192.168.0.0/')",
        "network address parse error during conversion from string: network address parse error during conversion"
        ' from string: netip.ParsePrefix("192.168.0.0/"): bad bits after slash: ""',
    ),
    ("semver('Three')", "No Major.Minor.Patch elements found"),
    ("semver('1.x.0')", 'Invalid character(s) found in minor number "x"'),
    ("image('registry.k8s.io//x')", "could not parse reference: registry.k8s.io//x"),
]


@pytest.mark.parametrize(("source", "expected"), RESULTS, ids=[source for source, _ in RESULTS])
def test_results(source: str, expected: Any) -> None:
    """A function yields what upstream's documentation says."""
    result = compile_expression(source, variables={}).evaluate({})
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(("source", "message"), ERRORS, ids=[source for source, _ in ERRORS])
def test_errors(source: str, message: str) -> None:
    """A function fails with upstream's words."""
    with pytest.raises(EvaluationError) as caught:
        compile_expression(source, variables={}).evaluate({})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("isIP(cidr('192.168.0.0/24'))", "found no matching overload for 'isIP' applied to '(net.CIDR)'"),
        ("cidr(192168)", "found no matching overload for 'cidr' applied to '(int)'"),
        ("quantity('1').add('1')", "found no matching overload for 'add' applied to 'kubernetes.Quantity.(string)'"),
        ("math.greatest(1, 2)", "undeclared reference to 'math' (in container '')"),
        ("cel.bind(x, 1, x)", "undeclared reference to 'cel' (in container '')"),
    ],
)
def test_refused(source: str, message: str) -> None:
    """Wrong types and libraries that Kubernetes does not enable are refused when compiled."""
    with pytest.raises(CompileError) as caught:
        compile_expression(source, variables={})
    assert message in str(caught.value)


def test_the_authorizer_is_asked() -> None:
    """A chain of calls becomes one question with all that was said; the answer is read by allowed, reason and error."""
    asked: list[Check] = []

    def authorize(check: Check) -> Decision:
        asked.append(check)
        return Decision(check.verb == "create", reason="because")

    authorizer = Authorizer(authorize)
    variables = {"authorizer": AUTHORIZER, "authorizer.requestResource": RESOURCE_CHECK}
    values = {
        "authorizer": authorizer,
        "authorizer.requestResource": authorizer.resource_check("apps", "deployments", "", "ns", "web"),
    }
    source = (
        "authorizer.serviceAccount('ns', 'sa').group('').resource('pods').subresource('log').namespace('x').name('y')"
        ".fieldSelector('a=b').labelSelector('c=d').check('create').allowed()"
        " && !authorizer.path('/healthz').check('get').allowed()"
        " && authorizer.requestResource.check('create').reason() == 'because'"
        " && !authorizer.requestResource.check('create').errored()"
    )
    assert compile_expression(source, variables=variables, result="bool").evaluate(values) is True
    first = asked[0]
    assert first.service_account == ("ns", "sa")
    assert (first.resource, first.subresource, first.namespace, first.name) == ("pods", "log", "x", "y")
    assert (first.field_selector, first.label_selector) == ("a=b", "c=d")
    assert asked[1].path == "/healthz"
    assert (asked[2].group, asked[2].resource, asked[2].name) == ("apps", "deployments", "web")
    with pytest.raises(EvaluationError, match="path must not be empty"):
        compile_expression("authorizer.path(' ')", variables=variables).evaluate(values)


def test_authorization_checks_are_dear() -> None:
    """A loop of checks is ended by the budget, as upstream's costs have it."""
    authorizer = Authorizer(lambda check: Decision(True))
    source = "range.all(x, authorizer.group('').resource('pods').check('get').allowed())"
    program = compile_expression(source, variables={"authorizer": AUTHORIZER, "range": DYN})
    assert program.evaluate({"authorizer": authorizer, "range": [1] * 20}) is True
    with pytest.raises(BudgetError):
        program.evaluate({"authorizer": authorizer, "range": [1] * 50})
