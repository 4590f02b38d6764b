package card

import (
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"

	"rsc.io/qr"
)

// bytesPerCode keeps each code coarse enough for a phone and for creased paper.
const bytesPerCode = 700

// page is one sheet of paper: nothing on it is loaded from anywhere.
var page = template.Must(template.New("card").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Recovery card: {{.Fleet}}</title>
<style>
@page { margin: 12mm }
body { font: 11px/1.35 monospace; max-width: 190mm; margin: 0 auto }
h1 { font: bold 20px sans-serif; margin: 0 0 2mm }
pre { white-space: pre-wrap; word-break: break-all; margin: 0 0 3mm }
.codes { display: flex; flex-wrap: wrap; gap: 4mm }
figure { margin: 0; text-align: center }
img { width: 55mm; image-rendering: pixelated }
</style>
<h1>Recovery card: {{.Fleet}}</h1>
<pre>{{.Text}}</pre>
<p>The same as codes: scan them in order into one file.</p>
<div class="codes">{{range $i, $c := .Codes}}<figure><img alt="code {{$c.Number}}" src="{{$c.Image}}"><figcaption>{{$c.Number}} of {{$c.Of}}: {{$c.What}}</figcaption></figure>{{end}}</div>
</html>
`))

type code struct {
	Number, Of int
	What       string
	Image      template.URL
}

// WriteHTML writes the card as a page to print: the text, and the same in QR
// codes whose contents, one after the other, are a file that Parse reads.
func (c Card) WriteHTML(w io.Writer) error {
	var codes []code
	for i, part := range c.parts() {
		img, err := qr.Encode(part, qr.M)
		if err != nil {
			return fmt.Errorf("make a QR code: %w", err)
		}
		what := "access"
		if i == 0 {
			what = "key"
		}
		codes = append(codes, code{Number: i + 1, What: what, Image: template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(img.PNG()))})
	}
	for i := range codes {
		codes[i].Of = len(codes)
	}
	return page.Execute(w, struct {
		Fleet, Text string
		Codes       []code
	}{c.Fleet, string(c.Text()), codes})
}

// parts are the contents of the codes: the key alone, then the access in pieces
// of whole lines.
func (c Card) parts() []string {
	parts := []string{strings.Join(c.keyLines(), "\n") + "\n"}
	piece := ""
	for _, line := range c.accessLines() {
		if len(piece)+len(line) > bytesPerCode {
			parts, piece = append(parts, piece), ""
		}
		piece += line + "\n"
	}
	return append(parts, piece)
}
