"""Header fields (RFC 9110, section 5; RFC 9112, section 5)."""

from __future__ import annotations

from conformance.case import accepted, get, post, refused

_NAME = "RFC 9110, 5.1"
_VALUE = "RFC 9110, 5.5"
_NO_TOKEN = '"(),/;<=>?@[\\]{}'
_CONTROLS = [code for code in (*range(32), 127) if code not in (9, 10, 13)]
_FOLD = "RFC 9112, 5.2"
_END = "RFC 9112, 2.2"

CASES = [
    accepted("value", _VALUE, get(b"X: y"), fields={"HTTP_X": "y"}),
    accepted("no space after the colon", _VALUE, get(b"X:y"), fields={"HTTP_X": "y"}),
    accepted(
        "white space around the value", _VALUE, get(b"X: \t y z \t"), fields={"HTTP_X": "y z"}
    ),
    accepted("empty value", _VALUE, get(b"X:"), fields={"HTTP_X": ""}),
    accepted("value of white space", _VALUE, get(b"X: \t "), fields={"HTTP_X": ""}),
    accepted("colon in the value", _VALUE, get(b"X: y:z"), fields={"HTTP_X": "y:z"}),
    accepted("tab in the value", _VALUE, get(b"X: y\tz"), fields={"HTTP_X": "y\tz"}),
    accepted(
        "no-break space is not white space",
        _VALUE,
        get(b"X: \xa0y\xa0"),
        fields={"HTTP_X": "\xa0y\xa0"},
    ),
    accepted(
        "next-line character is not white space",
        _VALUE,
        get(b"X: \x85y"),
        fields={"HTTP_X": "\x85y"},
    ),
    accepted(
        "high bytes",
        "CVE-2026-42544",
        get(b"Sec-WebSocket-Protocol: \x80\xff"),
        fields={"HTTP_SEC_WEBSOCKET_PROTOCOL": "\x80\xff"},
    ),
    accepted(
        "name of all token characters but one",
        "RFC 9110, 5.6.2",
        get(b"!#$%&'*+-.^`|~09azAZ: y"),
        fields={"HTTP_!#$%&'*+_.^`|~09AZAZ": "y"},
    ),
    accepted("name in capitals", _NAME, get(b"X-ABC: y"), fields={"HTTP_X_ABC": "y"}),
    accepted(
        "repeated field",
        "RFC 9110, 5.3",
        get(b"X: y", b"Z: 1", b"x: z"),
        fields={"HTTP_X": "y, z", "HTTP_Z": "1"},
    ),
    accepted(
        "repeated Cookie",
        "RFC 6265, 5.4",
        get(b"Cookie: a=b", b"cookie: c=d"),
        fields={"HTTP_COOKIE": "a=b; c=d"},
    ),
    accepted(
        "Content-Type",
        "RFC 3875, 4.1.3",
        get(b"Content-Type: text/x"),
        fields={"CONTENT_TYPE": "text/x"},
    ),
    refused(
        "Content-Type twice", "RFC 9110, 5.3", get(b"Content-Type: text/x", b"Content-Type: text/y")
    ),
    accepted("Proxy is dropped", "CVE-2016-5385", get(b"Proxy: evil:1", b"PROXY: evil:2")),
    accepted(
        "underscore is dropped",
        "CVE-2024-45614",
        get(b"X-Forwarded-For: good", b"X_Forwarded_For: evil"),
        fields={"HTTP_X_FORWARDED_FOR": "good"},
    ),
    accepted(
        "underscore is dropped, before its twin",
        "CVE-2024-45614",
        get(b"X_Forwarded-For: evil", b"X-Forwarded-For: good"),
        fields={"HTTP_X_FORWARDED_FOR": "good"},
    ),
    accepted("underscore alone", "CVE-2024-45614", get(b"_: y")),
    accepted(
        "Content_Length is no length", "CVE-2024-45614", post(b"Content_Length: 40"), method="POST"
    ),
    accepted(
        "Transfer_Encoding is no coding",
        "CVE-2024-45614",
        post(b"Transfer_Encoding: chunked"),
        method="POST",
    ),
    accepted(
        "Content_Length beside Content-Length",
        "CVE-2024-45614",
        post(b"Content_Length: 40", b"Content-Length: 2", body=b"ab"),
        method="POST",
        body=b"ab",
    ),
    *(
        refused(f"name with {char}", "RFC 9110, 5.6.2", get(f"X{char}Y: z".encode()))
        for char in _NO_TOKEN
    ),
    *(
        refused(
            f"control character {code:02x} in a value", _VALUE, get(b"X: y" + bytes([code]) + b"z")
        )
        for code in _CONTROLS
    ),
    *(
        refused(
            f"control character {code:02x} in a name", _NAME, get(b"X" + bytes([code]) + b": z")
        )
        for code in (0, 1, 8, 11, 12, 27, 31, 127)
    ),
    *(
        refused(
            f"control character {code:02x} at the end of a value",
            _VALUE,
            get(b"X: y" + bytes([code])),
        )
        for code in (0, 11, 12, 28, 29, 30, 31)
    ),
    refused("high byte in a name", _NAME, get(b"X\xe9: y")),
    refused("empty name", _NAME, get(b": y")),
    refused("name of a space", _NAME, get(b" : y")),
    refused("no colon", "RFC 9112, 5", get(b"X")),
    refused("no colon but a space", "RFC 9112, 5", get(b"X y")),
    refused("space before the colon", "RFC 9112, 5.1", get(b"X : y")),
    refused("tab before the colon", "RFC 9112, 5.1", get(b"X\t: y")),
    refused(
        "space before the colon of Content-Length",
        "RFC 9112, 5.1",
        post(b"Content-Length : 2", body=b"ab"),
    ),
    refused(
        "space before the colon of Transfer-Encoding",
        "RFC 9112, 5.1",
        post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
    ),
    refused("space in a name", "RFC 9112, 5.1", get(b"X Y: z")),
    refused("space before a name", "RFC 9112, 5.1", b"GET / HTTP/1.1\r\nHost: a\r\n X: y\r\n\r\n"),
    refused("folded with a space", _FOLD, get(b"X: y", b" z")),
    refused("folded with a tab", _FOLD, get(b"X: y", b"\tz")),
    refused("folded, with a colon", _FOLD, get(b"X: y", b" z: w")),
    refused("folded into nothing", _FOLD, get(b"X: y", b" ")),
    refused(
        "folded Transfer-Encoding",
        _FOLD,
        post(b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n"),
    ),
    refused("folded Content-Length", _FOLD, post(b"Content-Length: 1", b" 2", body=b"ab")),
    refused("field ended by LF", _END, b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
    refused("field ended by CR", _END, b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n"),
    refused("field ended by CR CR LF", _END, b"GET / HTTP/1.1\r\nHost: a\r\r\nX: y\r\n\r\n"),
    refused("field ended by LF CR LF", _END, b"GET / HTTP/1.1\r\nHost: a\n\r\nX: y\r\n\r\n"),
    refused(
        "head ended by LF LF", "CVE-2019-16785", b"GET / HTTP/1.1\r\nHost: a\n\n", sentinel=False
    ),
    refused("head with LF only", "CVE-2019-16785", b"GET / HTTP/1.1\nHost: a\n\n", sentinel=False),
    refused("head ended by CR LF LF", _END, b"GET / HTTP/1.1\r\nHost: a\r\n\n", sentinel=False),
    refused("head ended by CR CR", _END, b"GET / HTTP/1.1\rHost: a\r\r"),
    refused("head ended by CR LF CR and more", _END, b"GET / HTTP/1.1\r\nHost: a\r\n\rX"),
    refused("length hidden after an LF", "CVE-2019-16785", get(b"X: y\nContent-Length: 40")),
    refused("coding hidden after a CR", "CVE-2020-11076", get(b"X: y\rTransfer-Encoding: chunked")),
    refused(
        "request hidden after an LF",
        "CVE-2019-16785",
        get(b"X: y\n\nGET /hidden HTTP/1.1\nHost: a"),
    ),
    refused("NUL cuts a value", _VALUE, get(b"X: y\0z")),
    refused("NUL cuts Content-Length", _VALUE, post(b"Content-Length: 2\0", body=b"ab")),
    accepted(
        "a value on which expressions backtrack",
        "CVE-2020-5236",
        get(b"X: " + b"\x20\t" * 2000 + b"y" + b" " * 2000 + b"z"),
        fields={"HTTP_X": "y" + " " * 2000 + "z"},
    ),
    accepted(
        "a value of x and spaces",
        "CVE-2020-5236",
        get(b"X: " + b"x" * 1000 + b" \t" * 1000 + b"x"),
        fields={"HTTP_X": "x" * 1000 + " \t" * 1000 + "x"},
    ),
    refused(
        "control character after much white space",
        "CVE-2020-5236",
        get(b"X: " + b" " * 3000 + b"\x0b"),
    ),
    accepted(
        "Expect without a body",
        "RFC 9110, 10.1.1",
        get(b"Expect: 100-continue"),
        fields={"HTTP_EXPECT": "100-continue"},
    ),
    refused("Expect something else", "RFC 9110, 10.1.1", get(b"Expect: tea"), 417),
    refused(
        "Expect twice",
        "RFC 9110, 10.1.1",
        get(b"Expect: 100-continue", b"Expect: 100-continue"),
        417,
    ),
    refused("Expect with a parameter", "RFC 9110, 10.1.1", get(b"Expect: 100-continue;a=b"), 417),
]
