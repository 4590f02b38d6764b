package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const canary = "hunter2-canary"

type holder struct {
	Exported Value
	hidden   Value
}

func TestValueIsNeverPrinted(t *testing.T) {
	v := NewString(canary)
	h := holder{Exported: v, hidden: v}
	asJSON, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var text, structured bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("x", "v", v, "h", h, "p", &h)
	slog.New(slog.NewJSONHandler(&structured, nil)).Info("x", "v", v, "h", h, "p", &h)
	outputs := map[string]string{"json": string(asJSON), "slog text": text.String(), "slog json": structured.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		outputs["value "+verb] = fmt.Sprintf(verb, v)
		outputs["holder "+verb] = fmt.Sprintf(verb, h)
		outputs["pointer "+verb] = fmt.Sprintf(verb, &h)
	}
	hex := fmt.Sprintf("%x", canary)
	for name, out := range outputs {
		if strings.Contains(out, canary) || strings.Contains(out, hex) {
			t.Errorf("%s shows the secret: %s", name, out)
		}
	}
}

func TestRevealReturnsWhatWasPut(t *testing.T) {
	if got := string(NewString(canary).Reveal()); got != canary {
		t.Errorf("Reveal() = %q", got)
	}
	if !(Value{}).IsZero() || NewString("x").IsZero() {
		t.Error("IsZero is wrong")
	}
}
