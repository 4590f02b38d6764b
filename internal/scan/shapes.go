package scan

import (
	"regexp"
	"strings"
	"sync"

	"github.com/rs/zerolog"
	"github.com/spf13/viper"
	"github.com/zricethezav/gitleaks/v8/config"
	"github.com/zricethezav/gitleaks/v8/detect"
	"github.com/zricethezav/gitleaks/v8/logging"
	"github.com/zricethezav/gitleaks/v8/report"
)

// genericRule is gitleaks' rule for values that look random next to a key that means
// a secret.
const genericRule = "generic-api-key"

// emptyAssignment is a text that ends with a key whose value is empty: gitleaks takes what the
// next line begins with for it.
var emptyAssignment = regexp.MustCompile(`[=:][ \t]*\r?\n\s*$`)

// quiet silences gitleaks, whose logger is a global that writes to stderr and
// whose messages quote what they are about. Once, since a scan may be running.
var quiet = sync.OnceFunc(func() { logging.Logger = logging.Logger.Level(zerolog.Disabled) })

// shapes are the keys of providers as gitleaks knows them.
type shapes struct {
	detector *detect.Detector
	public   *regexp.Regexp // what looks random and is for everybody
}

// newShapes loads gitleaks' own rules. detect.NewDetectorDefaultConfig would
// put them into viper's global, which belongs to the program.
func newShapes() (*shapes, error) {
	quiet()
	v := viper.New()
	v.SetConfigType("toml")
	if err := v.ReadConfig(strings.NewReader(config.DefaultConfig)); err != nil {
		return nil, err
	}
	var raw config.ViperConfig
	if err := v.Unmarshal(&raw); err != nil {
		return nil, err
	}
	rules, err := raw.Translate()
	if err != nil {
		return nil, err
	}
	public := regexp.MustCompile(`^(?:age1[a-z0-9]{50,}|AAAA[A-Z][0-9A-Za-z+/]{20,}|sha(?:256|512)[:-].*|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$`)
	return &shapes{detector: detect.NewDetector(rules), public: public}, nil
}

func (s *shapes) find(t *text) []hit {
	var hits []hit
	for _, f := range s.detector.Detect(detect.Fragment{Raw: t.content, FilePath: t.path}) { //nolint:staticcheck // v8 takes no other type; v9 will
		h := hit{rank: byShape, rule: f.RuleID, says: describe(f.Description)}
		h.start, h.end = position(t, f)
		if f.RuleID == genericRule {
			before := t.content[max(0, h.start-maxDefault):h.start]
			if s.public.MatchString(f.Secret) || emptyAssignment.MatchString(before) {
				continue
			}
			h.rank = vague
			h.says = "a value that looks random, next to a key that means a secret"
		}
		hits = append(hits, h)
	}
	return hits
}

// position returns where the secret of a finding is. gitleaks gives the place of the
// match around it: the row from zero, and the column from one in the first row but
// from two, the line break being the first, in the others.
func position(t *text, f report.Finding) (start, end int) {
	row := min(max(f.StartLine, 0), len(t.starts)-1)
	from := t.starts[row] + f.StartColumn - 1
	if row > 0 {
		from--
	}
	from = min(max(from, 0), len(t.content))
	if i := strings.Index(t.content[from:], f.Secret); i >= 0 {
		from += i
	}
	return from, min(from+len(f.Secret), len(t.content))
}

// describe cuts a description of gitleaks to what was found: "Uncovered a
// possible 1Password secret key, potentially compromising …".
func describe(description string) string {
	what, _, _ := strings.Cut(strings.TrimSuffix(description, "."), ",")
	verb, rest, _ := strings.Cut(what, " ")
	switch verb {
	case "Uncovered", "Identified", "Discovered", "Detected", "Found":
		return rest
	}
	return what
}
