package yamldoc

import (
	"bytes"
	"unicode/utf8"
)

// notText reports a file whose bytes are not text, at its first byte.
func notText(file string, content []byte) *Problem {
	start := Position{file, 1, 1}
	switch {
	case bytes.HasPrefix(content, []byte("\xff\xfe")) || bytes.HasPrefix(content, []byte("\xfe\xff")):
		return &Problem{start, "the file is text in UTF-16, want UTF-8", "save it as UTF-8"}
	case !utf8.Valid(content):
		at := 0
		for r, size := utf8.DecodeRune(content); r != utf8.RuneError || size > 1; r, size = utf8.DecodeRune(content[at:]) {
			at += size
		}
		return &Problem{position(file, content[:at]), "the file has a byte that is not text in UTF-8", "save it as UTF-8"}
	}
	if at := bytes.IndexFunc(content, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f }); at >= 0 {
		return &Problem{position(file, content[:at]), "a control character is here", "delete it"}
	}
	return nil
}

// position is the place after some bytes of a file.
func position(file string, before []byte) Position {
	line := bytes.LastIndexByte(before, '\n') + 1
	return Position{file, 1 + bytes.Count(before, []byte("\n")), 1 + utf8.RuneCount(before[line:])}
}
