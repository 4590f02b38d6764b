package scan

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// places returns what a scan of one file finds as line:column rule.
func places(t *testing.T, s *Scanner, path, content string) []string {
	t.Helper()
	var all []string
	for _, l := range s.Scan(path, []byte(content)) {
		place := strings.TrimPrefix(l.String(), path+":")
		at, _, _ := strings.Cut(place, ": ")
		all = append(all, at+" "+l.Rule)
	}
	return all
}

func TestCompose(t *testing.T) {
	s := newScanner(t)
	for name, test := range map[string]struct {
		content string
		want    []string
	}{
		"map":                                {"services:\n  db:\n    environment:\n      POSTGRES_PASSWORD: hunter2\n", []string{"4:26 plain-secret"}},
		"quoted":                             {"environment:\n  DB_PASS: \"a b\"\n", []string{"2:13 plain-secret"}},
		"list":                               {"environment:\n  - DB_PASS=hunter2\n", []string{"2:13 plain-secret"}},
		"quoted list":                        {"environment:\n  - 'DB_PASS=hunter2'\n", []string{"2:14 plain-secret"}},
		"list with a space":                  {"environment:\n  - DB_PASS=correct horse\n  - AUTH_TOKEN=Bearer ${TOKEN}\n", []string{"2:13 plain-secret"}},
		"realm":                              {"environment:\n  - REGISTRY_AUTH_HTPASSWD_REALM=Registry Realm\n", nil},
		"flow":                               {"environment: {TZ: UTC, apiToken: x7}\n", []string{"1:34 plain-secret"}},
		"number":                             {"environment: {PIN_PASSWORD: 123456}\n", []string{"1:29 plain-secret"}},
		"after an umlaut":                    {"environment: {TITLE: Übung, PASSWORD: hunter2}\n", []string{"1:39 plain-secret"}},
		"camel case":                         {"environment: {dbPassword: hunter2, DBPassword: hunter3}\n", []string{"1:27 plain-secret", "1:48 plain-secret"}},
		"one word":                           {"environment: {PGPASSWORD: hunter2}\n", []string{"1:27 plain-secret"}},
		"numbered":                           {"environment: {TOKEN_1: hunter2}\n", []string{"1:24 plain-secret"}},
		"default":                            {"environment: {PASSWORD: \"${PW:-hunter2}\"}\n", []string{"1:32 plain-secret"}},
		"default of two quotes":              {"environment: ['PASSWORD=${PW:-\"\"}', \"TOKEN=${T:-''}\"]\n", nil},
		"default of a default":               {"environment: {PASSWORD: \"${PW:-${OLD-hunter2}}\"}\n", []string{"1:38 plain-secret"}},
		"dollar in a password":               {"environment: {PASSWORD: pa$$word}\n", []string{"1:25 plain-secret"}},
		"label":                              {"labels:\n  - com.example.db.password=hunter2\n", []string{"2:29 plain-secret"}},
		"build argument":                     {"build: {args: {API_KEY: hunter2}}\n", []string{"1:25 plain-secret"}},
		"flag":                               {"command: serve --password=hunter2 --port=80\n", []string{"1:27 plain-secret"}},
		"flag with a space":                  {"command: serve --password 'hunter 2'\n", []string{"1:28 plain-secret"}},
		"flag in a list":                     {"command: [serve, --token, hunter2]\n", []string{"1:27 plain-secret"}},
		"variable in a command":              {"command: sh -c \"PGPASSWORD=hunter2 psql\"\n", []string{"1:28 plain-secret"}},
		"client":                             {"test: mysqladmin ping -phunter2\n", []string{"1:25 plain-secret"}},
		"redis client":                       {"test: redis-cli -a hunter2 ping\n", []string{"1:20 plain-secret"}},
		"folded":                             {"command: >\n  serve\n  --password=hunter2\n", []string{"3:14 plain-secret"}},
		"alias":                              {"x: &env\n  SECRET: hunter2\na: {environment: *env}\nb: {environment: {<<: *env}}\n", []string{"2:11 plain-secret"}},
		"scalar behind an alias":             {"x: &pw hunter2\nenvironment: {PASSWORD: *pw}\n", []string{"1:8 plain-secret"}},
		"two documents":                      {"a: b\n---\nPASSWORD: hunter2\n", []string{"3:11 plain-secret"}},
		"query":                              {"environment: {HOOK: 'https://h.example.net/x?token=hunter2&a=b'}\n", []string{"1:52 plain-secret"}},
		"path where a value is":              {"environment: {PASSWORD_FILE: hunter2}\n", []string{"1:30 plain-secret"}},
		"no YAML":                            {"environment:\n\t- PASSWORD=hunter2\n  TOKEN: 'hunter3' # old\n", []string{"2:13 plain-secret", "3:11 plain-secret"}},
		"CRLF":                               {"environment:\r\n  PASSWORD: hunter2\r\n", []string{"2:13 plain-secret"}},
		"breaks of YAML only":                {"a: b\rPASSWORD: hunter2\n", []string{"1:16 plain-secret"}},
		"inline vault":                       {"a_password: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  " + strings.Repeat("61", 40) + "\nb_password: hunter2\n", []string{"4:13 plain-secret"}},
		"SOPS value":                         {"a_password: ENC[AES256_GCM,data:aaaa,iv:bbbb,tag:cccc,type:str]\nb_password: hunter2\n", []string{"2:13 plain-secret"}},
		"passkeys, and keys of several":      {"environment: {KOMODO_PASSKEY: hunter2, PERIPHERY_PASSKEYS: hunter3, EDGE_KEY: hunter4, ONBOARDING_KEY: hunter5, JWT_KEY: hunter6, PASSKEY_ORIGIN: hunter7}\n", []string{"1:31 plain-secret", "1:60 plain-secret", "1:79 plain-secret", "1:104 plain-secret", "1:122 plain-secret"}},
		"one word, without a sign":           {"environment: {DBPASS: hunter2, REDISPASS: hunter3, BINDPW: hunter4, APPSECRET: hunter5}\n", []string{"1:23 plain-secret", "1:43 plain-secret", "1:60 plain-secret", "1:80 plain-secret"}},
		"short words":                        {"environment: {POSTGRES_PW: hunter2, LDAP_BIND_PW: hunter3, COOKIE_SIGNING_SALT: hunter4, HASHIDS_SALT: hunter5, COOKIE_SIGNING: hunter6}\n", []string{"1:28 plain-secret", "1:51 plain-secret", "1:81 plain-secret", "1:104 plain-secret", "1:129 plain-secret"}},
		"how long it is valid":               {"environment: {TOKEN_EXPIRES_IN: 30d, JWT_SECRET_EXPIRATION_TIME: 3600, ACCESS_TOKEN_EXPIRE_MINUTES: 30, PASSWORD_EXPIRY: never-ever, TOKEN_VALID_FOR_TIME: 3h}\n", nil},
		"salt of another kind":               {"environment: {SALT_MASTER: salt.example.net, SALT_ROUNDS: 10, BYPASS: 10.0.0.1/8, BASALT: grey}\n", nil},
		"a program fills it in":              {"environment:\n  A_PASSWORD: '%s'\n  B_PASSWORD: '%(password)s'\n  C_TOKEN: '{token}'\n  D_SECRET: '<%= secret %>'\n  E_TOKEN: '@TOKEN@'\n  F_TOKEN: __TOKEN__\n  G_SECRET: https://a.example.net/?token=%s\n  H: postgres://%s:%s@db/%s\n", nil},
		"a value and a format":               {"environment: {A: 'postgres://u:hunter2@%s/db', B_PASSWORD: 'a%sb'}\n", []string{"1:32 url-password", "1:61 plain-secret"}},
		"allowed":                            {"PASSWORD: hunter2 # salvor:allow\nTOKEN: hunter3 # gitleaks:allow\n", nil},
		"allowed in a text of several lines": {"command: >\n  serve\n  --password=hunter2 # salvor:allow\nother:\n  PASSWORD: hunter3 # salvor:allow\n", []string{"3:14 plain-secret"}},
		"allowed where a text begins":        {"command: > # salvor:allow\n  serve --password=hunter2\n\n  --token=hunter3\nTOKEN: hunter4\n", []string{"5:8 plain-secret"}},
		"allowed within quotes":              {"command: 'serve --password=hunter2 # salvor:allow'\n", []string{"1:28 plain-secret"}},
		"allowed behind quotes":              {"command: 'serve --password=hunter2 # salvor:allow' # salvor:allow\n", nil},
		"allowed in a script":                {"command: |\n  # salvor:allow\n  serve --password=hunter2 # gitleaks:allow\n", []string{"3:20 plain-secret"}},
		"variable":                           {"environment: {PASSWORD: '${PW}', TOKEN: $TOKEN, SECRET: '${A}-${B:?say it}', PASS: '${C:-}'}\n", nil},
		"Bearer variable":                    {"environment: {AUTH_TOKEN: Bearer ${TOKEN}}\n", nil},
		"reference":                          {"password: secret:db\n", nil},
		"nothing":                            {"environment:\n  PASSWORD:\n  TOKEN: ''\n  SECRET: null\n", nil},
		"switch":                             {"environment: {SECRET: true, PASSWORD_LOGIN: 1, USE_TOKEN: 'yes'}\n", nil},
		"settings":                           {"environment: {PASSWORD_MIN_LENGTH: 8, PASSWORD_ITERATIONS: 600000, TOKEN_TTL: 15m, SECRET_ENABLED: 'on', ACCESS_KEY_ID: abc, MAX_TOKEN: 4096}\n", nil},
		"file":                               {"environment: {PASSWORD_FILE: ./pw, SECRET_DIR: /run/secrets, TOKEN_PATH: token.txt}\n", nil},
		"file behind any key":                {"environment: {GOOGLE_APPLICATION_CREDENTIALS: /run/secrets/google}\n", nil},
		"hash":                               {"environment: {ADMIN_PASSWORD: '$2y$10$abcdefghijklmnopqrstuv'}\n", nil},
		"word within a word":                 {"environment: {COMPASS: north, TOKENIZER: bpe, SECRETARY: ana, PASSENGER: bob}\n", nil},
		"router":                             {"labels: {traefik.http.routers.token.rule: Host(`a.example.net`)}\n", nil},
		"names of secrets":                   {"secrets:\n  password: {external: true}\nservices: {a: {secrets: [password, {source: token, target: secret}]}}\n", nil},
		"tag of another program":             {"password: !secret mqtt\n", nil},
		"shell in a command":                 {"command: sh -c 'serve --password=$$PW --token=$$(cat /run/secrets/token)'\n", nil},
		"DSN without a password":             {"environment: {DB_DSN: 'sqlite:///data/app.db'}\n", nil},
		"alias that holds itself":            {"a: &a\n  b: *a\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, places(t, s, "stacks/notes/compose.yaml", test.content)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	s := newScanner(t)
	const key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n"
	for name, test := range map[string]struct {
		path, content string
		want          []string
	}{
		"dotenv":                       {"stacks/a/.env", "# x\nexport DB_PASSWORD='a b' # old\nTZ=UTC\n", []string{"2:21 plain-secret"}},
		"an empty value before others": {"stacks/a/app.env", "SMTP_PASSWORD=\n\nRATE_LIMITER_ENABLED=true\nAPI_KEY:\nLOG_LEVEL=debug1234\n", nil},
		"any name":                     {"stacks/a/db.conf", "TZ=UTC\nDB_PASSWORD=hunter2\n", []string{"2:13 plain-secret"}},
		"no dotenv":                    {"stacks/a/notes.txt", "remember\nDB_PASSWORD=hunter2\n", nil},
		"INI":                          {"stacks/a/app.conf", "[db]\npassword = hunter2\nset_header X-Token=1 here\n", []string{"2:12 plain-secret"}},
		"TOML":                         {"stacks/a/app.toml", "password = \"hunter2\" # old\npassword_min_length = 8\n", []string{"1:13 plain-secret"}},
		"unclosed quote":               {"stacks/a/.env", "PASSWORD=\"hunter2\n", []string{"1:11 plain-secret"}},
		"example":                      {".env.example", "PASSWORD=changeme\nTOKEN=hunter2\n", []string{"2:7 plain-secret"}},
		"example by its folder":        {"stacks/a/docs/app.env", "PASSWORD=changeme\nTOKEN=hunter2\n", []string{"2:7 plain-secret"}},
		"a stack's name says nothing":  {"stacks/docs/app.env", "PASSWORD=changeme\n", []string{"1:10 plain-secret"}},
		"template":                     {"stacks/a/app.conf.j2", "PASSWORD=changeme\n", nil},
		"placeholder in use":           {"stacks/a/.env", "PASSWORD=changeme\n", []string{"1:10 plain-secret"}},
		"URL":                          {"stacks/a/run.sh", "git clone https://u:hunter2@git.example.net/x\n", []string{"1:21 url-password"}},
		"URL and key":                  {"stacks/a/.env", "DB_SECRET=postgres://u:hunter2@db/x\n", []string{"1:24 url-password"}},
		"URL with a variable":          {"stacks/a/.env", "A=postgres://u:${PW}@db/x\nB=redis://:***@r/0\nC=postgres://u:@db/x\nD=ssh://git@h:22/x\n", nil},
		"URL with a default":           {"stacks/a/.env", "A=postgres://${U:-u}:${PW:-hunter2}@db/x\n", []string{"1:28 url-password"}},
		"URL in a README":              {"README.md", "postgres://user:password@db and postgres://user:<password>@db\n", nil},
		"URL in a comment":             {"stacks/a/compose.yaml", "# postgres://user:PASSWORD@db\n", nil},
		"private key":                  {"playbooks/files/key", "\n" + key, []string{"2:1 private-key"}},
		"private key in YAML":          {"stacks/a/x.yaml", "key: |\n  " + strings.ReplaceAll(key, "\n", "\n  "), []string{"2:3 private-key"}},
		"private key behind a key":     {"stacks/a/x.yaml", "private_key: |\n  " + strings.ReplaceAll(key, "\n", "\n  "), []string{"2:3 private-key"}},
		"private key in one line":      {"stacks/a/.env", "PRIVATE_KEY=\"" + strings.ReplaceAll(key, "\n", `\n`) + "\"\n", []string{"1:14 private-key"}},
		"talk of keys":                 {"README.md", "It begins with -----BEGIN PRIVATE KEY----- and so on.\n", nil},
		"plain secret":                 {"secrets/db", "hunter2", []string{"1:1 unencrypted"}},
		"plain binary secret":          {"secrets/store.p12", "\x00\x01", []string{"1:1 unencrypted"}},
		"talk of SOPS":                 {"secrets/notes.txt", "sops: see sops_version", []string{"1:1 unencrypted"}},
		"empty folder":                 {"secrets/.gitkeep", "", nil},
		"README of secrets":            {"secrets/README.md", "Ask Ana.\n", nil},
		"values that are vaults":       {"secrets/group.yml", "---\n# mine\ndb:\n  password: !vault | # ours\n          $ANSIBLE_VAULT;1.1;AES256\n          " + strings.Repeat("61", 40) + "\n  user: notes\n", nil},
		"plain beside a vault":         {"secrets/group.yml", "a_password: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  " + strings.Repeat("61", 40) + "\nb_password: hunter2\nurl: postgres://u:hunter3@db/x\n", []string{"4:13 plain-secret", "5:19 url-password"}},
		"a vault in no YAML":           {"secrets/notes", "a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6161\n", []string{"1:1 unencrypted"}},
		"talk of vaults":               {"secrets/group.yml", "# a: !vault |\n#  $ANSIBLE_VAULT;1.1;AES256\npassword: hunter2\n", []string{"1:1 unencrypted"}},
		"a vault without one":          {"secrets/group.yml", "a: !vault |\n  hunter2\n", []string{"1:1 unencrypted"}},
		"commands of secrets":          {"fleet.yaml", "secrets:\n  nas_password: {command: [vault, kv, get, -field=password, secret/nas], rotate: 90d}\n  drive_oauth:\n    command: [op, read, 'op://home/drive/oauth token']\n    revision: 2\n", nil},
		"keys one after the other":     {"keys.pem", key + "x\n" + key, []string{"1:1 private-key", "5:1 private-key"}},
		"key that is cut off":          {"stacks/a/.env", strings.Split(key, "-----END")[0] + "PASSWORD=hunter2\n" + key, []string{"1:1 private-key", "3:10 plain-secret", "4:1 private-key"}},
		"age":                          {"secrets/db", "age-encryption.org/v1\n-> X25519 abc\n", nil},
		"fleet":                        {"fleet.yaml", "remotes:\n  a: {type: b2, key: hunter2, key_file: /etc/x, token: secret:x, public_key: abc}\ntailnet: {auth: hunter3, key: hunter4}\nhosts:\n  key: {address: a}\n", []string{"2:22 plain-secret", "3:17 plain-secret"}},
		"binary":                       {"stacks/a/x.env", "PASSWORD=hunter2\n\x00", nil},
		"too large":                    {"stacks/a/x.env", "PASSWORD=hunter2\n" + strings.Repeat("#\n", maxSize/2), nil},
		"lock":                         {"salvor.lock", "token: hunter2\n" + key, nil},
		"pipeline":                     {".github/workflows/x.yaml", "password: hunter2\n", nil},
		"path from the root":           {"./stacks/a/compose.yaml", "password: hunter2\n", []string{"1:11 plain-secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, places(t, s, strings.TrimPrefix(test.path, "./"), test.content)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTextNamesTheKeyOnly(t *testing.T) {
	s := newScanner(t)
	for name, test := range map[string]struct{ content, want string }{
		"key":                     {"DB_PASSWORD: hunter2\n", "stacks/a/compose.yaml:1:14: DB_PASSWORD has its value in plain text [plain-secret]"},
		"value within the key":    {"hunter_PASSWORD: hunter\n", "stacks/a/compose.yaml:1:18: a secret in plain text [plain-secret]"},
		"key that may be a value": {"Zq7w9XpL2mKv4.password: x7\n", "stacks/a/compose.yaml:1:25: a secret in plain text [plain-secret]"},
	} {
		t.Run(name, func(t *testing.T) {
			leaks := s.Scan("stacks/a/compose.yaml", []byte(test.content))
			if len(leaks) != 1 {
				t.Fatal(leaks)
			}
			if diff := cmp.Diff(test.want, leaks[0].String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestWhatWouldTakeItsPlace: of a default, the variables that replace it; of a placeholder, that
// it is one.
func TestWhatWouldTakeItsPlace(t *testing.T) {
	s := newScanner(t)
	for content, want := range map[string]Leak{
		"PASSWORD: ${PW:-hunter2}\n":                {Key: "PASSWORD", Default: "PW"},
		"PASSWORD: \"${PW-changeme}\"\n":            {Key: "PASSWORD", Default: "PW", Placeholder: true},
		"PASSWORD: ${NEW:-${OLD:-hunter2}}\n":       {Key: "PASSWORD", Default: "NEW OLD"},
		"URL: postgres://u:${PW:-hunter2}@db/x\n":   {Default: "PW"},
		"PASSWORD: changeme\n":                      {Key: "PASSWORD", Placeholder: true},
		"PASSWORD: hunter2\n":                       {Key: "PASSWORD"},
		"command: serve --token ${T:-hunter2}\n":    {Key: "token", Default: "T"},
		"PASSWORD: ${PW:?say it}-hunter2-${X:-}x\n": {},
	} {
		leaks := s.Scan("stacks/a/compose.yaml", []byte(content))
		if want == (Leak{}) {
			if len(leaks) > 0 {
				t.Errorf("%q: %+v", content, leaks)
			}
			continue
		}
		if len(leaks) != 1 {
			t.Errorf("%q: %+v", content, leaks)
			continue
		}
		if got := (Leak{Key: leaks[0].Key, Default: leaks[0].Default, Placeholder: leaks[0].Placeholder}); got != want {
			t.Errorf("%q: %+v, want %+v", content, got, want)
		}
	}
}

func TestScanIsSafeForConcurrentUse(t *testing.T) {
	s := newScanner(t)
	planted := readCorpus(t, "planted")
	want := map[string][]Leak{}
	for path, content := range planted.files {
		want[path] = s.Scan(path, content)
	}
	var group sync.WaitGroup
	for path, content := range planted.files {
		for range 3 {
			group.Go(func() {
				if diff := cmp.Diff(want[path], s.Scan(path, content)); diff != "" {
					t.Errorf("%s (-alone +together):\n%s", path, diff)
				}
			})
		}
	}
	group.Wait()
}

func TestVariable(t *testing.T) {
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{
		"POSTGRES_PASSWORD": "hunter2",
		"DB_PASS":           "p$ss word",
		"ADMIN_PASSWORD":    "$ecret",
		"API_TOKEN":         "0123456789",
		"SSH_KEY":           "abc",
		"SECRET_KEY_BASE":   "0f3a",
		"BASIC_AUTH":        "ann:$2y$10$abcdefghijklmnopqrstuv",
		"DATABASE_URL":      "postgres://notes:hunter2@db/notes",
		"DBPASS":            "wAemmJwSh4oGclgI5xZMEodK",
		"LDAP_BIND_PW":      "k8sJq2mVb7Xc4T",
		"BINDPW":            "k8sJq2mVb7Xc4T",
		"COOKIE_SIGNING":    "k8sJq2mVb7Xc4T",
		"TRAEFIK_USERS":     "ann:$apr1$abc$def",
		"HASHIDS_SALT":      "k8sJq2mVb7Xc4T",
		// of Komodo, Portainer and DockFlare
		"KOMODO_PASSKEY": "a_random_passkey", "PERIPHERY_PASSKEYS": "one-of-them,another", "KOMODO_JWT_SECRET": "a_random_jwt", "KOMODO_WEBHOOK_SECRET": "a_random_secret",
		"KOMODO_DATABASE_PASSWORD": "admin", "KOMODO_INIT_ADMIN_PASSWORD": "changeme", "KOMODO_PRIVATE_KEY": "MC4CAQAwBQYDK2VuBCIEI", "PERIPHERY_ONBOARDING_KEY": "O_abc_O",
		"EDGE_KEY": "aHR0cHM6Ly9wb3J0YWluZXI", "AGENT_SECRET": "hunter2", "CF_API_TOKEN": "hunter2", "TUNNEL_TOKEN": "hunter2", "DOCKFLARE_API_KEY": "hunter2", "CF_ACCESS_CLIENT_SECRET": "hunter2",
		"WIFI_PSK": "hunter2hunter2", "JWT_KEY": "hunter2", "LOGIN_PASSCODE": "824591",
		"TLS": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\n-----END PRIVATE KEY-----",
	}
	for name, value := range secrets {
		if !s.Variable(name, value) {
			t.Errorf("%s is taken for harmless", name)
		}
	}
	harmless := map[string]string{
		"TZ": "Europe/Zurich", "POSTGRES_USER": "notes", "PORT": "8080", "POSTGRES_PASSWORD": "", "AUTH_ENABLED": "true", "PUBLIC_KEY": "ssh-ed25519",
		"DOMAIN": "notes.example.net", "PASSWORD_MIN_LENGTH": "12", "POSTGRES_PASSWORD_FILE": "/run/secrets/db", "SITE_URL": "https://notes.example.net",
		"PASSKEY_ENABLED": "true", "PASSKEYS_ORIGIN": "https://a.example.net", "PASSKEY_RP_ID": "example.net", "KOMODO_PERIPHERY_PUBLIC_KEY": "MCowBQYDK2VuAyEA", "EDGE_ID": "7e2b", "KOMODO_JWT_TTL": "1-day",
		"TOKEN_EXPIRES_IN": "30d", "LOGIN_URL": "https://a.example.net/?token=%s", "API_TOKEN": "%s", "SECRET_KEY": "{secret_key}",
	}
	for name, value := range harmless {
		if s.Variable(name, value) {
			t.Errorf("%s=%s is taken for a secret", name, value)
		}
	}
}

// TestS30AScanEnds: aliases in mappings lead to one value on millions of ways.
func TestS30AScanEnds(t *testing.T) {
	t.Parallel()
	var bomb strings.Builder
	bomb.WriteString("a: &a {p: x}\n")
	for name := 'b'; name < 'u'; name++ {
		bomb.WriteString(string(name) + ": &" + string(name) + " {p: *" + string(name-1) + ", q: *" + string(name-1) + ", r: *" + string(name-1) + "}\n")
	}
	bomb.WriteString("DB_PASS: hunter2\n")
	if got := places(t, newScanner(t), "stacks/app/values.yaml", bomb.String()); len(got) != 1 || !strings.Contains(got[0], "plain-secret") {
		t.Errorf("found %q", got)
	}
}

// TestASignatureIsNotAToken has a signature by chance like a provider's key, in the files that
// Salvor signs and in one that it does not write.
func TestASignatureIsNotAToken(t *testing.T) {
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	signature := "-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTk/" + "EAA" + "Abc1dEf2gHi3jKl4mNo5pQr\n-----END SSH SIGNATURE-----\n"
	for name, want := range map[string]int{"recovery.age.sig": 0, "hosts/alpha.pub.sig": 0, "hosts/authorized_keys.sig": 0, "sealed/alpha/notes.age.sig": 0, "stacks/notes/x.sig": 1} {
		if leaks := s.Scan(name, []byte(signature)); len(leaks) != want {
			t.Errorf("%s: %v", name, leaks)
		}
	}
}
