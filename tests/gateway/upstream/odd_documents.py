"""HTML documents that are easily misread, and whether the session-end script may be inserted into each.

A script in a document notes that it ran with `mark(name)`. A document shows an attack if it is safe unchanged, but
marks `attack` after something was inserted at the wrong place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MARK: Final = b"<script>window.mark = (name) => (window.marks = window.marks || []).push(name)</script>"
LATE: Final = MARK + b"<script>mark('script')</script><title>t</title><body><p>text</p></body>"
IMAGE: Final = b"<img src=data:, onerror=mark('attack')>"
"""What a visitor may have written into an attribute or a text. There it is harmless."""
UTF_8: Final = "text/html; charset=utf-8"
UNNAMED: Final = "text/html"


@dataclass(frozen=True, slots=True)
class OddDocument:
    """A document, named after what is odd in it. `gets_script` is True if its head is certain."""

    id: str
    body: bytes
    gets_script: bool
    content_type: str = UTF_8


def _yes(name: str, body: bytes, content_type: str = UTF_8) -> OddDocument:
    return OddDocument(name, body, True, content_type)


def _no(name: str, body: bytes, content_type: str = UTF_8) -> OddDocument:
    return OddDocument(name, body, False, content_type)


HEAD_TAGS: Final = (
    _yes("plain document", b"<!doctype html><html><head>" + LATE),
    _yes("no doctype", b"<html><head>" + LATE),
    _yes("head without html", b"<head>" + LATE),
    _yes("doctype and head without html", b"<!doctype html><head>" + LATE),
    _yes("upper case", b"<!DOCTYPE HTML><HTML><HEAD>" + LATE),
    _yes("mixed case", b"<!DocType HtmL><hTmL><HeAd>" + LATE),
    _yes("head closed by a slash", b"<!doctype html><html><head/>" + LATE),
    _yes("head closed by a space and a slash", b"<!doctype html><html><head />" + LATE),
    _yes("head with slashes", b"<!doctype html><html><head///a//>" + LATE),
    _yes("head followed by a line feed", b"<!doctype html><html><head\n>\n" + LATE),
    _yes("head with attributes", b"<!doctype html><html><head lang=en id=\"h\" class='c'>" + LATE),
    _yes("larger-than in double quotes", b'<!doctype html><html><head data-a="1>2">' + LATE),
    _yes("larger-than in single quotes", b"<!doctype html><html><head data-a='1>2'>" + LATE),
    _yes("head in an attribute of head", b'<!doctype html><html><head data-a="<head>">' + LATE),
    _yes("head in an attribute of html", b'<!doctype html><html data-a="<head>"><head>' + LATE),
    _yes("apostrophe in an unquoted value", b"<!doctype html><html><head data-a=it's>" + LATE),
    _yes("quote in an unquoted value", b'<!doctype html><html><head data-a=a"b>' + LATE),
    _yes("slash in an unquoted value", b"<!doctype html><html><head data-a=/x/>" + LATE),
    _yes("quote in a name", b"<!doctype html><html><head a\"b c'd>" + LATE),
    _yes("smaller-than in a name", b"<!doctype html><html><head <head>" + LATE),
    _yes("equals sign as a name", b'<!doctype html><html><head =a=">" b>' + LATE),
    _yes("equals sign twice", b'<!doctype html><html><head a=="b c=d>' + LATE),
    _yes("value missing", b"<!doctype html><html><head a=>" + LATE),
    _yes("blanks around the equals sign", b'<!doctype html><html><head a \n=\t">">' + LATE),
    _yes("quoted values without a blank between", b"<!doctype html><html><head a=\">\"b='>'c>" + LATE),
    _yes("the same attribute twice", b'<!doctype html><html><head id=a id="b>">' + LATE),
    _yes("a slash before an equals sign", b'<!doctype html><html><head a /="b c>' + LATE),
    _yes("carriage returns", b"\r<!doctype html>\r\n<html\r>\r<head\r\n>\r" + LATE),
    _yes("form feeds", b"\f<!doctype html>\f<html\f>\f<head\f>" + LATE),
    _yes("two html tags", b"<!doctype html><html lang=en><html class=c><head>" + LATE),
    _yes("two heads", b"<!doctype html><html><head><head>" + LATE),
    _yes("script and style follow", b"<html><head><style><head></style><script>'<head>'</script>" + LATE),
    _yes("frameset document", b"<html><head>" + MARK + b"</head><frameset><frame src='about:blank'></frameset></html>"),
    _yes("noscript in the head", b"<!doctype html><html><head><noscript><style>p{}</style></noscript>" + LATE),
    _yes("template in the head", b"<!doctype html><html><head><template><head></template>" + LATE),
    _yes("base in the head", b"<!doctype html><html><head><base href='/elsewhere/'>" + LATE),
    _yes("nothing after the head", b"<!doctype html><html><head>"),
    _yes("body at once", b"<!doctype html><html><head><body onload=mark('load')>" + MARK),
    _yes("text at once", b"<!doctype html><html><head>text"),
    _yes("NUL at once", b"<!doctype html><html><head>\x00" + LATE),
)

PROLOGS: Final = (
    _yes("byte order mark", b"\xef\xbb\xbf<!doctype html><html><head>" + LATE),
    _yes(
        "byte order mark alone names the encoding", b"\xef\xbb\xbf<html><head><title>\xc3\xa9</title>" + LATE, UNNAMED
    ),
    _yes("comment with a head", b"<!-- <head> --><!doctype html><html><head>" + LATE),
    _yes("comment between html and head", b"<!doctype html><html><!-- <head> --><head>" + LATE),
    _yes("comments everywhere", b"<!--a--><!doctype html><!--b--><html><!--c--><!--d--><head>" + LATE),
    _yes("comment closed at once", b"<!--><!doctype html><html><head><!-- x -->" + LATE),
    _yes("comment closed after a dash", b"<!---><!doctype html><html><head><!-- x -->" + LATE),
    _yes("empty comment", b"<!----><!doctype html><html><head>" + LATE),
    _yes("comment closed with a bang", b"<!-- --!><!doctype html><html><head><!-- x -->" + LATE),
    _yes("dashes and a bang", b"<!----!><!doctype html><html><head><!-- x -->" + LATE),
    _yes("bang that opens no end", b"<!--!> <head> --><!doctype html><html><head>" + LATE),
    _yes("dash, bang that opens no end", b"<!---!> <head> --><!doctype html><html><head>" + LATE),
    _yes("bang and dashes", b"<!-- --!-><head>--><!doctype html><html><head>" + LATE),
    _yes("many dashes", b"<!------- <head> ------><!doctype html><html><head>" + LATE),
    _yes("comment in a comment", b"<!-- <!-- <head> --><!doctype html><html><head>" + LATE),
    _yes("comment in a comment closed at once", b"<!-- <!--><!doctype html><html><head><!-- -->" + LATE),
    _yes("comment with NUL", b"<!-- \x00<head>\x00 --><!doctype html><html><head>" + LATE),
    _yes("bogus comment", b"<!x <!-- ><!doctype html><html><head><!-- -->" + LATE),
    _yes("empty bogus comment", b"<!><!doctype html><html><head>" + LATE),
    _yes("bogus comment with one dash", b"<!- ><!doctype html><html><head><!-- -->" + LATE),
    _yes("CDATA is a bogus comment", b"<![CDATA[x]]><!doctype html><html><head>" + LATE),
    _no("CDATA that ends at a larger-than", b"<![CDATA[<b>]]><html><head>" + LATE),
    _yes("XML declaration", b"<?xml version='1.0' encoding='utf-8'?><!doctype html><html><head>" + LATE),
    _yes("processing instruction with a head", b"<?x <head ?><!doctype html><html><head>" + LATE),
    _yes("doctype with identifiers", b'<!DOCTYPE html PUBLIC "-//W3C//DTD HTML 4.01//EN" "u"><html><head>' + LATE),
    _yes("doctype of quirks", b'<!DOCTYPE html PUBLIC "-//W3C//DTD HTML 3.2 Final//EN"><html><head>' + LATE),
    _yes("doctype that ends in its quotes", b'<!DOCTYPE html PUBLIC "a><html><head>' + LATE + b'">'),
    _yes("doctype without a blank", b"<!doctypehtml><html><head>" + LATE),
    _yes("doctype without a name", b"<!doctype><html><head>" + LATE),
    _yes("doctype twice", b"<!doctype html><!doctype x><html><head>" + LATE),
    _yes("doctype after html", b"<html><!doctype html><head>" + LATE),
    _yes("doctype with NUL", b"<!doctype html\x00><html><head>" + LATE),
    _yes("long comment", b"<!--" + b" <head> " * 2_000 + b"--><!doctype html><html><head>" + LATE),
    _yes("comment in UTF-8", "<!-- ünï → 日本語 --><!doctype html><html><head>".encode() + LATE),
    _no("two byte order marks", b"\xef\xbb\xbf\xef\xbb\xbf<!doctype html><html><head>" + LATE),
    _no("byte order mark after a blank", b" \xef\xbb\xbf<!doctype html><html><head>" + LATE),
    _no("end tag before the head", b"<!doctype html></p><html><head>" + LATE),
    _no("end tag of head before the head", b"<!doctype html><html></head><head>" + LATE),
    _no("nameless end tag", b"<!doctype html></><html><head>" + LATE),
    _no("bogus end tag", b"<!doctype html></ x><html><head>" + LATE),
    _no("NUL before the doctype", b"\x00<!doctype html><html><head>" + LATE),
    _no("NUL between html and head", b"<!doctype html><html>\x00<head>" + LATE),
    _no("NUL in the tag's name", b"<!doctype html><html><he\x00ad><head>" + LATE),
    _no("vertical tab", b"<!doctype html><html>\x0b<head>" + LATE),
    _no("no-break space", b"<!doctype html><html>\xc2\xa0<head>" + LATE),
)

NO_HEAD: Final = (
    _no("empty", b""),
    _no("one smaller-than", b"<"),
    _no("text alone", b"text"),
    _no("head missing", b"<!doctype html><html><title>t</title><body>" + MARK + b"<p>text</p>"),
    _no("header is no head", b"<!doctype html><html><header>h</header><head>" + LATE),
    _no("heading is no head", b"<!doctype html><html><heading><head>" + LATE),
    _no("htmlx is no html", b"<!doctype html><htmlx><head>" + LATE),
    _no("head-x is no head", b"<!doctype html><html><head-x><head>" + LATE),
    _no("blank before the name", b"<!doctype html><html>< head><head>" + LATE),
    _no("text before the head", b"<!doctype html><html>text<head>" + LATE),
    _no("entity before the head", b"<!doctype html><html>&#32;<head>" + LATE),
    _no("body before the head", b"<!doctype html><html><body><head>" + LATE),
    _no("head never closed", b"<!doctype html><html><head data-a='><p>text</p>"),
    _no("head cut off", b"<!doctype html><html><head"),
    _no("html never closed", b'<!doctype html><html data-a="><head>' + LATE.replace(b'"', b"")),
    _no("comment never closed", b"<!doctype html><!-- <head> " + MARK),
    _no("frameset without a head", b"<frameset><frame src='about:blank'><noframes><head></noframes></frameset>"),
    _no("SVG before the head", b"<!doctype html><svg><head></svg>" + LATE),
    _no("MathML before the head", b"<!doctype html><math><head></math>" + LATE),
)

ATTACKS: Final = (
    _no("attack in an attribute", b"<!doctype html>" + MARK + b'<p title="<head >' + IMAGE + b'">x</p>'),
    _no("attack in a value of the body", MARK + b'<body><input value="<head >' + IMAGE + b'"></body>'),
    _no(
        "attack in an inline script",
        b"<!doctype html>" + MARK + b'<script>var said = "<head >' + IMAGE + b'"; mark("script")</script>',
    ),
    _no("attack in a title", MARK + b"<title><head ></title><p>text</p>"),
    _no("attack in a style", MARK + b"<style>p { content: '<head >' }</style><p>text</p>"),
    _no("attack in a template", MARK + b"<template><head ><p></template><p>text</p>"),
    _no("attack in a textarea", MARK + b"<textarea><head ></textarea><p>text</p>"),
    _no("attack in a noscript", MARK + b"<noscript><head ></noscript><p>text</p>"),
    _no("attack in an xmp", MARK + b"<xmp><head ></xmp><p>text</p>"),
    _no("attack in a plaintext", MARK + b"<p>text</p><plaintext><head >" + IMAGE),
    _no("attack in an iframe", MARK + b"<iframe><head ></iframe><p>text</p>"),
    _no("attack in a noembed", MARK + b"<noembed><head ></noembed><p>text</p>"),
    _no("attack in an srcdoc", MARK + b'<iframe srcdoc="<head ><p>inner</p>"></iframe>'),
    _no("attack in a comment that ends early", b"<!--> " + MARK + b'<p title="<head >' + IMAGE + b'">x</p><!-- -->'),
    _no(
        "attack in a comment that ends with a bang", b"<!-- --!>" + MARK + b'<p title="<head >' + IMAGE + b'"><!-- -->'
    ),
    _no("attack in an SVG title", MARK + b"<svg><title><head ></title></svg>"),
    _no("attack in a CDATA section", MARK + b"<svg><desc><![CDATA[<head >]]></desc></svg>"),
    _no("attack after a long text", MARK + b"<p>" + b"x" * 70_000 + b'<p title="<head >' + IMAGE + b'">'),
    _yes("attribute of html with an attack", b'<html data-a="<head >' + IMAGE + b'"><head>' + LATE),
    _yes("attribute of head with an attack", b'<html><head data-a="<head >' + IMAGE + b'">' + LATE),
)

_JAPANESE: Final = "日本語のページ"
ENCODINGS: Final = (
    _no("UTF-16 with a byte order mark", "\ufeff<html><head><title>é</title>".encode("utf-16-le"), UNNAMED),
    _no("UTF-16 big endian with a byte order mark", "\ufeff<html><head><title>é</title>".encode("utf-16-be"), UNNAMED),
    _no("UTF-16 by its header", "<html><head><title>é</title>".encode("utf-16-le"), "text/html; charset=utf-16"),
    _no("UTF-16 that is ASCII", b"<html><head>" + LATE, "text/html; charset=UTF-16LE"),
    _no("UTF-32", "\ufeff<html><head><title>t</title>".encode("utf-32-le"), UNNAMED),
    _no(
        "ISO-2022-JP by its header",
        f"<html><head><title>{_JAPANESE}</title>".encode("iso2022_jp"),
        "text/html; charset=iso-2022-jp",
    ),
    _no("ISO-2022-JP that hides a head", b"<!-- \x1b$B<head>\x1b(B --><html><head><title>t</title>", UNNAMED),
    _no(
        "ISO-2022-JP by its meta",
        f"<html><head><meta charset=iso-2022-jp><title>{_JAPANESE}</title>".encode("iso2022_jp"),
        UNNAMED,
    ),
    _no("HZ by its header", b"<html><head><title>t</title>", "text/html; charset=hz-gb-2312"),
    _no("UTF-7 by its header", b"<html><head><title>+ADw-</title>", "text/html; charset=utf-7"),
    _no("EBCDIC by its header", "<html><head><title>t</title>".encode("cp037"), "text/html; charset=cp037"),
    _no("unknown encoding", b"<html><head><title>t</title>", "text/html; charset=nonsense"),
    _no("two encodings", b"<html><head><title>t</title>", "text/html; charset=utf-8; charset=utf-16"),
    _no("XML declaration of UTF-16", b"<?xml version='1.0' encoding='utf-16'?><html><head>" + LATE, UNNAMED),
    _yes("encoding in quotes", "<html><head><title>é</title>".encode(), 'text/html; charset="utf-8"'),
    _yes("windows-1252 by its header", b"<html><head><title>\xe9</title>" + LATE, "text/html;charset=ISO-8859-1"),
    _yes("windows-1252 unnamed", b"<html><head><title>caf\xe9</title><p>" + b"d\xe9j\xe0 vu " * 200, UNNAMED),
    _yes(
        "Shift_JIS by its header", f"<html><head><title>{_JAPANESE}</title>".encode("cp932"), "text/html; charset=sjis"
    ),
    _yes("Shift_JIS by its meta", f"<html><head><meta charset=shift_jis><title>{_JAPANESE}".encode("cp932"), UNNAMED),
    _yes("Shift_JIS unnamed", f"<html><head><title>{_JAPANESE}</title><p>{_JAPANESE * 99}".encode("cp932"), UNNAMED),
    _no(
        "Shift_JIS that swallows a quote", b'<html a="\x81"><head title=\'>"\'>' + LATE, "text/html; charset=shift_jis"
    ),
    _yes("UTF-8 by its meta", "<html><head><meta charset=utf-8><title>é</title>".encode() + LATE, UNNAMED),
    _yes("UTF-8 unnamed", "<html><head><title>é</title><p>".encode() + "déjà vu ".encode() * 200, UNNAMED),
    _yes(
        "meta at the border of what browsers scan, encoding named",
        b"<html><head><!--" + b"x" * 976 + b"--><meta charset=utf-8><title>" + "é".encode() + b"</title>",
    ),
    _no(
        "meta that ends at the border of what browsers scan",
        b"<html><head><!--" + b"x" * 985 + b"--><meta charset=utf-8><title>" + "é".encode(),
        UNNAMED,
    ),
    _no(
        "meta just before the border of what browsers scan",
        b"<html><head><!--" + b"x" * 960 + b"--><meta charset=utf-8><title>" + "é".encode() + b"x" * 200,
        UNNAMED,
    ),
    _yes(
        "meta well before the border of what browsers scan",
        b"<html><head><!--" + b"x" * 940 + b"--><meta charset=utf-8><title>" + "é".encode() + b"x" * 300,
        UNNAMED,
    ),
)

DOCUMENTS: Final = (*HEAD_TAGS, *PROLOGS, *NO_HEAD, *ATTACKS, *ENCODINGS)
