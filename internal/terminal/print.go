package terminal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"unicode/utf16"
	"unicode/utf8"
)

// Text is an argument of Printf that may have several lines, printed as Paragraph.
type Text string

// Printf formats as fmt.Fprintf does, with every argument that is text as Line. The
// format is Salvor's own and stays as it is.
func Printf(w io.Writer, format string, args ...any) (int, error) {
	return io.WriteString(w, Sprintf(format, args...))
}

// Sprintf returns what Printf prints.
func Sprintf(format string, args ...any) string {
	seen := make([]any, len(args))
	for i, arg := range args {
		seen[i] = argument(arg)
	}
	return fmt.Sprintf(format, seen...)
}

func argument(arg any) any {
	switch v := arg.(type) {
	case nil:
		return nil
	case inked:
		return string(v)
	case Text:
		return Paragraph(string(v))
	case error:
		return Line(v.Error())
	case fmt.Stringer:
		return Line(v.String())
	}
	switch v := reflect.ValueOf(arg); v.Kind() {
	case reflect.String:
		return Line(v.String())
	case reflect.Slice, reflect.Map, reflect.Struct, reflect.Pointer, reflect.Interface:
		return Line(fmt.Sprint(arg))
	}
	return arg // numbers and truth values
}

// JSON writes v as a line of JSON, or with indent as several. What can't be seen is
// escaped as JSON does it.
func JSON(w io.Writer, v any, indent string) error {
	var encoded bytes.Buffer
	enc := json.NewEncoder(&encoded)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(escaped(encoded.Bytes()))
	return err
}

// escaped escapes what encoding/json leaves as it is: it is only in strings, since
// encoding/json writes no such character anywhere else.
func escaped(encoded []byte) []byte {
	var out []byte
	for len(encoded) > 0 {
		r, size := utf8.DecodeRune(encoded)
		switch {
		case r == '\n' || r == '\t' || !hidden(r):
			out = append(out, encoded[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		encoded = encoded[size:]
	}
	return out
}
