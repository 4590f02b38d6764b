package seal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"

	"salvor/internal/secret"
)

// ParseRecovery reads the text of a recovery file, for instance as `age -d`
// printed it. Errors name file and line and show no value.
func ParseRecovery(name string, plain secret.Value) (Recovery, error) {
	p := recoveryParser{}
	sc := bufio.NewScanner(bytes.NewReader(plain.Reveal()))
	line := 0
	for sc.Scan() {
		line++
		if text := strings.TrimSpace(sc.Text()); text != "" && text[0] != '#' {
			if err := p.field(text); err != nil {
				return Recovery{}, fmt.Errorf("%s:%d: %w", name, line, err)
			}
		}
	}
	err := sc.Err()
	if err == nil {
		err = p.finish()
	}
	if err != nil {
		return Recovery{}, fmt.Errorf("%s:%d: %w", name, line, err)
	}
	return p.out, nil
}

// recoveryParser takes the fields in their fixed order: schema, stack, then
// four of each repository.
type recoveryParser struct {
	out    Recovery
	schema bool
	repo   Repository
	next   int // which of a repository's four fields is expected
}

func (p *recoveryParser) field(line string) error {
	key, value, ok := strings.Cut(line, ": ")
	value = strings.TrimSpace(value)
	if !ok || value == "" {
		return errors.New("want `key: value`")
	}
	switch want := p.want(); {
	case key != want:
		return fmt.Errorf("want %s here", want)
	case key == "schema" && value != recoverySchema:
		return fmt.Errorf("schema is not %s: %w", recoverySchema, ErrMismatch)
	}
	p.take(key, value)
	return nil
}

func (p *recoveryParser) want() string {
	if !p.schema {
		return "schema"
	}
	if p.out.Stack == "" {
		return "stack"
	}
	return [...]string{"repository", "target", "location", "password"}[p.next]
}

func (p *recoveryParser) take(key, value string) {
	switch key {
	case "schema":
		p.schema = true
		return
	case "stack":
		p.out.Stack = value
		return
	case "repository":
		p.repo = Repository{ID: value}
	case "target":
		p.repo.Target = value
	case "location":
		p.repo.Location = value
	case "password":
		p.repo.Password = secret.NewString(value)
		p.out.Repositories = append(p.out.Repositories, p.repo)
	}
	p.next = (p.next + 1) % 4
}

func (p *recoveryParser) finish() error {
	if p.out.Stack == "" || p.next != 0 {
		return fmt.Errorf("cut off: want %s", p.want())
	}
	seen := map[string]bool{}
	for _, r := range p.out.Repositories {
		if seen[r.ID] {
			return fmt.Errorf("repository %s is there twice", r.ID)
		}
		seen[r.ID] = true
	}
	return nil
}
