package compose

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"salvor/internal/suggest"
	"salvor/internal/yamldoc"
)

// An explainer knows the files that a message is about.
type explainer struct {
	files   sources
	stack   string
	setting func(variable string) string // how it can be set
}

// An explanation is what a message of compose-go means to someone who writes a Compose
// file: where, what, and the next step.
type explanation struct{ place, text, hint string }

// A rule explains the messages of one kind. ok is false for one that is not after all.
type rule struct {
	pattern *regexp.Regexp
	explain func(x explainer, m []string) (e explanation, ok bool)
}

// rules are tried in this order.
var rules = []rule{
	{regexp.MustCompile(`service "(.+?)" refers to undefined (build secret|network|volume|secret|config|model) (\S+)`), explainer.undeclared},
	{regexp.MustCompile(`service "(.+?)" depends on undefined service "(.+?)"`), explainer.dependsOnNothing},
	{regexp.MustCompile(`dependency cycle detected: (\S+)(.*)`), explainer.dependsInCircle},
	{regexp.MustCompile(`service "(.+?)" has neither an image nor a build context`), explainer.withoutImage},
	{regexp.MustCompile(`service "?(.+?)"? declares mutually exclusive .network_mode. and .networks.`), explainer.twoNetworkings},
	{regexp.MustCompile(`cannot extend service "(.+?)" in .*: (?:service "(.+?)" not found|no services section)`), explainer.extendsNothing},
	{regexp.MustCompile(`(?:open|stat|cannot read) (\S+?)(?:: no such file or directory)?$`), explainer.missingFile},
	{regexp.MustCompile(`required variable \w+ is missing a value.*`), explainer.required},
	{regexp.MustCompile(`invalid (hostPort|containerPort|proto|start port|end port|port range)\b.*?: *(?:'|")?([^\s'"]+)`), explainer.badPort},
	{regexp.MustCompile(`invalid spec: (.+): (empty section between colons|too many colons)$`), explainer.badMount},
	{regexp.MustCompile(`non-string key in (\S+?): (\S+)`), explainer.keyIsNoText},
	{regexp.MustCompile(`cannot override (\S+)`), explainer.anotherKind},
	{regexp.MustCompile(`^additional properties '(.+?)'.* not allowed$`), explainer.unknownAtTop},
	{regexp.MustCompile(`(?:parsing "(.*?)": |invalid boolean: (\S+))`), explainer.cast},
	{regexp.MustCompile(`healthcheck\.test must start`), explainer.healthTest},
	{regexp.MustCompile(`(?:Circular|include cycle|circular)`), explainer.circle},
	{regexp.MustCompile(`\b(?:services|volumes|networks|secrets|configs|name|include)\b.*`), explainer.atPath},
}

// explain returns what a message of compose-go means.
func (x explainer) explain(text string) explanation {
	for _, r := range rules {
		if m := r.pattern.FindStringSubmatch(text); m != nil {
			if e, ok := r.explain(x, m); ok {
				return e
			}
		}
	}
	return explanation{x.files.guess(text), text, "compare it with docs.docker.com/reference/compose-file"}
}

// named is the hint for a name that is not known.
func (x explainer) named(kind string) []string {
	var names []string
	for _, src := range x.files {
		for name := range yamldoc.Entries(yamldoc.Find(src.root, kind)) {
			names = append(names, name)
		}
	}
	return names
}

func (x explainer) undeclared(m []string) (explanation, bool) {
	service, kind, name := m[1], m[2], m[3]
	kind = strings.TrimPrefix(kind, "build ")
	hint := map[string]string{
		"network": "declare it at the end of the file: networks: {NAME: {}}, or {NAME: {external: true}} for one that several stacks share",
		"volume":  "declare it at the end of the file: volumes: {NAME: {}}; for a folder next to the Compose file write ./NAME",
		"secret":  "declare it at the end of the file: secrets: {NAME: {environment: NAME}}; salvor secret set STACK/NAME",
		"config":  "declare it at the end of the file: configs: {NAME: {file: ./NAME}}",
		"model":   "declare it under models:, or remove it",
	}[kind]
	near := suggest.DidYouMean(name, x.named(kind+"s"))
	if strings.ContainsAny(name, "/$") {
		hint = "for a folder next to the Compose file write ./NAME"
	}
	place := x.files.use(name, "services", service, kind+"s")
	next := strings.NewReplacer("NAME", name, "STACK", x.stack).Replace(hint)
	if meant := suggest.Nearest(name, x.named(kind+"s")); meant != "" {
		next = "write " + meant + ", or " + next
	}
	return explanation{place, fmt.Sprintf("%s: the %s %q is not declared%s", service, kind, name, near), next}, true
}

// badPort explains what the engine's parser says of ports:. It names the part alone.
func (x explainer) badPort(m []string) (explanation, bool) {
	place, keys := x.files.holder(m[2])
	if place == "" {
		return explanation{}, false
	}
	if m[1] == "proto" {
		return explanation{place, fmt.Sprintf("%s: %q is not a protocol", subject(keys), m[2]), "write tcp, udp or sctp after the /"}, true
	}
	return explanation{place, fmt.Sprintf("%s: %q is not a port", subject(keys), m[2]), "write \"8080:80\", with numbers from 1 to 65535"}, true
}

func (x explainer) badMount(m []string) (explanation, bool) {
	place, keys := x.files.holder(m[1])
	return explanation{cmp.Or(place, x.files.guess(m[1])), fmt.Sprintf("%s: %q is not a mount: %s", subject(keys), m[1], m[2]), "write SOURCE:TARGET or SOURCE:TARGET:ro"}, place != ""
}

func (x explainer) keyIsNoText(m []string) (explanation, bool) {
	at, found := x.files.find(m[1] + "." + m[2])
	if !found {
		return explanation{}, false
	}
	keys := at.keys
	if keys[len(keys)-1] == m[2] {
		keys = keys[:len(keys)-1]
	}
	return explanation{at.place, fmt.Sprintf("%s has the key %s, which is not text", subject(keys), m[2]), "put the key in quotes; what is not a mapping is written differently" + example(keys)}, true
}

// anotherKind explains two files that are merged and don't fit.
func (x explainer) anotherKind(m []string) (explanation, bool) {
	for _, src := range slices.Backward(x.files) {
		if at, found := (sources{src}).find(m[1]); found && at.rest == "" {
			return explanation{at.place, fmt.Sprintf("%s is %s, and another kind of value in a file that it is merged with", subject(at.keys), yamldoc.KindOf(yamldoc.Resolve(at.node))),
				"write both as a list, or both as a mapping"}, true
		}
	}
	return explanation{}, false
}

func (x explainer) unknownAtTop(m []string) (explanation, bool) {
	for _, src := range x.files {
		if k, v := yamldoc.Lookup(src.root, m[1]); k != nil {
			e := x.unknown(spot{place: src.name + ":1:1", node: src.root}, m[1])
			if yamldoc.Find(v, "image") != nil || yamldoc.Find(v, "build") != nil {
				e.hint = "move it below services:, two spaces to the right"
			}
			return e, true
		}
	}
	return explanation{}, false
}

// cast explains a text where a number, or true or false, is wanted.
func (x explainer) cast(m []string) (explanation, bool) {
	place, keys := x.files.holder(cmp.Or(m[1], m[2]))
	want := "a number"
	if m[2] != "" {
		want = "true or false"
	}
	return explanation{place, fmt.Sprintf("%s is %q, want %s", subject(keys), cmp.Or(m[1], m[2]), want), "write " + want}, place != ""
}

func (x explainer) dependsOnNothing(m []string) (explanation, bool) {
	service, on := m[1], m[2]
	return explanation{x.files.use(on, "services", service, "depends_on"),
		fmt.Sprintf("%s: there is no service %q to depend on%s", service, on, suggest.DidYouMean(on, x.named("services"))),
		"name a service of this file; x-salvor: {needs: [STACK]} waits for another stack"}, true
}

func (x explainer) dependsInCircle(m []string) (explanation, bool) {
	return explanation{x.files.of("services", m[1], "depends_on"), "depends_on goes in a circle: " + m[1] + m[2], "remove one of these dependencies"}, true
}

func (x explainer) withoutImage(m []string) (explanation, bool) {
	hint := "add image: NAME:TAG"
	for _, src := range x.files {
		for key := range yamldoc.Entries(yamldoc.Find(src.root, "services", m[1])) {
			if near := suggest.Nearest(key, []string{"image", "build"}); near != "" {
				hint = "write " + near + ": in place of " + key + ":"
			}
		}
	}
	return explanation{x.files.of("services", m[1]), m[1] + ": the service has neither image: nor build:", hint}, true
}

func (x explainer) twoNetworkings(m []string) (explanation, bool) {
	return explanation{x.files.of("services", m[1], "network_mode"), m[1] + ": network_mode and networks exclude each other", "remove one of them"}, true
}

func (x explainer) extendsNothing(m []string) (explanation, bool) {
	return explanation{x.files.of("services", m[1], "extends"), fmt.Sprintf("%s: there is no service %q to extend%s", m[1], m[2], suggest.DidYouMean(m[2], x.named("services"))),
		"name a service of the file that extends: names"}, true
}

func (x explainer) missingFile(m []string) (explanation, bool) {
	file := m[1]
	place := x.files.scalar(path.Base(file))
	if place == "" {
		return explanation{}, false
	}
	return explanation{place, file + " is not in Git", "git add " + file + ", or correct the path"}, true
}

// missingValue is what compose-go says of each variable that is required: all in one text, in
// no order.
var missingValue = regexp.MustCompile(`required variable (\w+) is missing a value(?:: (.*?))?(?: error while interpolating |$)`)

func (x explainer) required(m []string) (explanation, bool) {
	reasons := map[string]string{}
	for _, found := range missingValue.FindAllStringSubmatch(m[0], -1) {
		if reasons[found[1]] = ""; found[2] != "err" {
			reasons[found[1]] = strings.TrimSpace(found[2])
		}
	}
	names := slices.Sorted(maps.Keys(reasons))
	if len(names) > 1 {
		all := "${" + strings.Join(names, "}, ${") + "}"
		return explanation{x.files.variable(names[0]), all + " are required and are set nowhere", x.setting(names[0])}, true
	}
	text := "${" + names[0] + "} is required and is set nowhere"
	if reason := reasons[names[0]]; reason != "" {
		text += ": " + reason
	}
	return explanation{x.files.variable(names[0]), text, x.setting(names[0])}, true
}

func (x explainer) healthTest([]string) (explanation, bool) {
	for _, src := range x.files {
		for name := range yamldoc.Entries(yamldoc.Find(src.root, "services")) {
			items := yamldoc.Items(yamldoc.Find(src.root, "services", name, "healthcheck", "test"))
			if len(items) > 0 && !slices.Contains([]string{"CMD", "CMD-SHELL", "NONE"}, items[0].Value) {
				return explanation{fmt.Sprintf("%s:%d:%d", src.name, items[0].Line, items[0].Column), name + ": healthcheck.test begins with neither CMD, CMD-SHELL nor NONE",
					"write [CMD, program, argument] or [CMD-SHELL, \"command line\"]"}, true
			}
		}
	}
	return explanation{}, false
}

func (x explainer) circle(m []string) (explanation, bool) {
	place := x.files.of("include")
	if m[0] == "Circular" {
		for _, src := range x.files {
			for name, service := range yamldoc.Entries(yamldoc.Find(src.root, "services")) {
				if yamldoc.Find(service, "extends") != nil {
					place = x.files.of("services", name, "extends")
				}
			}
		}
	}
	return explanation{place, "files or services include or extend each other in a circle", "remove one of them"}, true
}

var (
	bracketed  = regexp.MustCompile(`\b(services|volumes|networks|secrets|configs)\[([^\]]+)\]`)
	mustBe     = regexp.MustCompile(`^ ?must be an? (.+)$`)
	unknownKey = regexp.MustCompile(`^ ?additional properties (.+) not allowed$`)
	oneOf      = regexp.MustCompile(`value must be one of (.+)$`)
	pattern    = regexp.MustCompile(`does not match pattern '(.+)'$`)
	missingKey = regexp.MustCompile(`^ ?missing propert(?:y|ies) '(.+)'$`)
	mountTwice = regexp.MustCompile(`target (\S+) already mounted as (\S+)`)
	quotedWord = regexp.MustCompile(`'([^']*)'`)
)

// inYAML are JSON Schema's words for what people write.
var inYAML = strings.NewReplacer("array", "a list", "object", "a mapping", "mapping", "a mapping", "string", "text", "boolean", "true or false", "integer", "a whole number", "number", "a number", "null", "nothing")

// atPath explains a message that names the value by its keys.
func (x explainer) atPath(m []string) (explanation, bool) {
	text := bracketed.ReplaceAllString(m[0], "$1.$2")
	at, found := x.files.find(text)
	if !found || len(at.keys) < 2 && !mustBe.MatchString(at.rest) && !unknownKey.MatchString(at.rest) {
		return explanation{}, false
	}
	rest := strings.Trim(at.rest, ".:' ")
	who := subject(at.keys)
	switch {
	case unknownKey.MatchString(at.rest):
		return x.unknown(at, quotedWord.FindStringSubmatch(at.rest)[1]), true
	case at.rest == " false schema": // how the JSON schema says that a key is not known
		above := at.keys[:len(at.keys)-1]
		parent, _ := x.files.find(strings.Join(above, "."))
		return x.unknown(parent, at.keys[len(above)]), true
	case mustBe.MatchString(at.rest):
		return wrongKind(at, inYAML.Replace(mustBe.FindStringSubmatch(at.rest)[1])), true
	case oneOf.MatchString(at.rest):
		return notOneOf(at, oneOf.FindStringSubmatch(at.rest)[1]), true
	case pattern.MatchString(at.rest):
		return explanation{at.place, fmt.Sprintf("%s is %q, which it can't be", who, yamldoc.ValueOf(at.node)), "it has to match " + pattern.FindStringSubmatch(at.rest)[1]}, true
	case missingKey.MatchString(at.rest):
		key := missingKey.FindStringSubmatch(at.rest)[1]
		return explanation{at.place, fmt.Sprintf("%s has no %s", who, key), "add " + key + ":"}, true
	case strings.Contains(rest, "is not valid duration"):
		return explanation{at.place, fmt.Sprintf("%s: %q is not a duration", who, yamldoc.ValueOf(at.node)), "write it like 30s, 1m30s or 2h"}, true
	case mountTwice.MatchString(rest):
		twice := mountTwice.FindStringSubmatch(rest)
		return explanation{at.place, fmt.Sprintf("%s: %s is mounted already, as %s", who, twice[1], subject(strings.Split(strings.NewReplacer("[", ".", "]", "").Replace(twice[2]), "."))), "remove one of the two, or give it another path"}, true
	case rest == "":
		return explanation{}, false
	}
	return explanation{at.place, who + ": " + rest, advice(rest) + example(at.keys)}, true
}

// advice is what to do about a message that is passed on as it is.
func advice(rest string) string {
	switch {
	case strings.Contains(rest, "conflicting parameters"):
		return "remove one of the two"
	case strings.Contains(rest, "must be set"):
		return "add one of them, or external: true"
	case strings.Contains(rest, "invalid suffix"):
		return "write a number with b, k, m or g, like 512m"
	case strings.Contains(rest, "invalid duration"), strings.Contains(rest, "unit in duration"):
		return "write it like 30s, 1m30s or 2h"
	}
	return "correct it"
}

// durations are the keys whose value is a duration.
var durations = []string{"interval", "timeout", "start_period", "start_interval", "stop_grace_period", "delay", "monitor", "window"}

// wrongKind explains a value of another kind than Compose wants.
func wrongKind(at spot, want string) explanation {
	n := yamldoc.Resolve(at.node)
	next := "write " + want + example(at.keys)
	key, value, _ := strings.Cut(n.Value, ":")
	switch number := n.ShortTag() == "!!int" || n.ShortTag() == "!!float"; {
	case yamldoc.IsScalar(n) && value != "" && strings.Contains(want, "mapping"):
		next = fmt.Sprintf("put a space after the colon: %s: %s", key, value)
	case number && slices.Contains(durations, at.keys[len(at.keys)-1]):
		next = "write it like 30s, 1m30s or 2h"
	case number && want == "text":
		next = fmt.Sprintf("put it in quotes: %q", n.Value)
	}
	return explanation{at.place, fmt.Sprintf("%s is %s, want %s", subject(at.keys), yamldoc.KindOf(n), want), next}
}

// notOneOf explains a word that is not one of those that Compose knows.
func notOneOf(at spot, quoted string) explanation {
	var known []string
	for _, m := range quotedWord.FindAllStringSubmatch(quoted, -1) {
		known = append(known, m[1])
	}
	value := yamldoc.ValueOf(at.node)
	return explanation{at.place, fmt.Sprintf("%s is %q%s", subject(at.keys), value, suggest.DidYouMean(value, known)), "write one of " + strings.Join(known, ", ")}
}

// unknown explains a key that Compose does not know.
func (x explainer) unknown(at spot, key string) explanation {
	place := at.place
	if k, _ := yamldoc.Lookup(yamldoc.Resolve(at.node), key); k != nil {
		file, _, _ := strings.Cut(place, ":")
		place = fmt.Sprintf("%s:%d:%d", file, k.Line, k.Column)
	}
	top := knownKeys(nil)
	switch {
	case len(at.keys) == 1:
		return explanation{place, fmt.Sprintf("%q is not a name for one of %s", key, at.keys[0]), "use letters, digits, dots, - and _"}
	case len(at.keys) == 2 && slices.Contains(top, at.keys[1]): // read as a service of that name
		return explanation{at.place, fmt.Sprintf("%s: is read as a service, since it is indented below services:", at.keys[1]), "move it to the left: it belongs to the file"}
	case len(at.keys) > 1 && slices.Contains(top, key):
		return explanation{place, fmt.Sprintf("%s: unknown key %q", subject(at.keys), key), "move it to the left: it belongs to the file"}
	}
	known := knownKeys(at.keys)
	hint := "remove it, or begin it with x-"
	if near := suggest.Nearest(key, known); near != "" {
		hint = "write " + near
	} else if slices.Contains(knownKeys([]string{"services", "any"}), key) {
		hint = "move it into a service"
	}
	return explanation{place, fmt.Sprintf("%sunknown key %q%s", prefixed(subject(at.keys)), key, suggest.DidYouMean(key, known)), hint}
}

func prefixed(subject string) string {
	if subject == "" {
		return ""
	}
	return subject + ": "
}

// example shows how the value of a key is written, for keys that are often wrong.
func example(keys []string) string {
	known := map[string]string{"ports": `["8080:80"]`, "volumes": `["./data:/data"]`, "environment": `{NAME: value}`, "depends_on": "[db]", "command": `["program", "argument"]`,
		"services": "web: {image: nginx}", "networks": "[front]", "labels": `{name: value}`, "env_file": "[app.env]"}
	if text := known[keys[len(keys)-1]]; text != "" {
		return ", like " + text
	}
	return ""
}
