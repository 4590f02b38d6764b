package githubtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const root = "/api/v3"

// A request is one of the API, by a token that is known.
type request struct {
	*http.Request
	s     *Server
	w     http.ResponseWriter
	token Token
}

func (s *Server) handler() http.Handler {
	api := http.NewServeMux()
	for pattern, serve := range map[string]func(*request){
		"GET /user":                              (*request).user,
		"POST /user/repos":                       (*request).createOwn,
		"POST /orgs/{org}/repos":                 (*request).createOfOrg,
		"GET /repos/{owner}/{name}":              (*request).show,
		"GET /repos/{owner}/{name}/branches":     (*request).branches,
		"GET /repos/{owner}/{name}/keys":         (*request).keys,
		"POST /repos/{owner}/{name}/keys":        (*request).addKey,
		"DELETE /repos/{owner}/{name}/keys/{id}": (*request).deleteKey,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		api.HandleFunc(method+" "+root+path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, serve) })
	}
	all := http.NewServeMux()
	all.Handle(root+"/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.faulty(w, r, api) }))
	all.HandleFunc("/{owner}/{repository}/", s.serveHTTP)
	return all
}

// faulty answers a request, or fails as it was said to.
func (s *Server) faulty(w http.ResponseWriter, r *http.Request, api http.Handler) {
	f, fails := s.called(r.Method + " " + strings.TrimPrefix(r.URL.Path, root))
	if !fails {
		api.ServeHTTP(w, r)
		return
	}
	if f.Before != nil {
		f.Before()
	}
	select {
	case <-time.After(f.Slow):
	case <-r.Context().Done():
	}
	if f.Done {
		api.ServeHTTP(discard{}, r)
	}
	switch {
	case f.Status == 0 && f.Slow > 0:
		api.ServeHTTP(w, r)
		return
	case f.Status == 0:
		panic(http.ErrAbortHandler)
	}
	for name, values := range f.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	refuse(w, f.Status, http.StatusText(f.Status))
}

// called notes a request, and returns what it ends with if it is to fail.
func (s *Server) called(what string) (f Fault, fails bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, what)
	i := slices.IndexFunc(s.faults, func(f Fault) bool { return strings.HasPrefix(what, f.On) })
	if i < 0 {
		return f, false
	}
	f = s.faults[i]
	s.faults = slices.Delete(s.faults, i, i+1)
	return f, true
}

// discard is an answer that is lost.
type discard struct{}

// Header implements http.ResponseWriter.
func (discard) Header() http.Header { return http.Header{} }

// Write implements http.ResponseWriter.
func (discard) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader implements http.ResponseWriter.
func (discard) WriteHeader(int) {}

// serve checks what every request must have.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, answer func(*request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("User-Agent") == "" {
		refuse(w, http.StatusForbidden, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.")
		return
	}
	if v := r.Header.Get("X-Github-Api-Version"); v != "" && v != "2022-11-28" {
		refuse(w, http.StatusBadRequest, v+" is not a supported API version")
		return
	}
	value, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	t, known := s.tokens[value]
	if !known {
		refuse(w, http.StatusUnauthorized, "Bad credentials")
		return
	}
	if t.Scopes != nil {
		w.Header().Set("X-Oauth-Scopes", strings.Join(t.Scopes, ", "))
	}
	answer(&request{Request: r, s: s, w: w, token: t})
}

type detail struct {
	Resource string `json:"resource"`
	Code     string `json:"code"`
	Field    string `json:"field"`
	Message  string `json:"message"`
}

func refuse(w http.ResponseWriter, status int, message string, details ...detail) {
	write(w, status, map[string]any{"message": message, "errors": details, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status)})
}

func write(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the client hung up
}

// may refuses a token that lacks a permission. What is private and may not be seen is as
// if it were not there.
func (r *request) may(permission, level string, hidden bool) bool {
	if r.token.Scopes != nil {
		r.w.Header().Set("X-Accepted-Oauth-Scopes", "repo")
		if slices.Contains(r.token.Scopes, "repo") {
			return true
		}
	} else {
		r.w.Header().Set("X-Accepted-Github-Permissions", permission+"="+level)
		if has := r.token.Permissions[permission]; has == "write" || has == level {
			return true
		}
	}
	switch {
	case hidden:
		refuse(r.w, http.StatusNotFound, "Not Found")
	default:
		refuse(r.w, http.StatusForbidden, "Resource not accessible by personal access token")
	}
	return false
}

// repository finds the one of the path, for a token that has the permission.
func (r *request) repository(permission, level string, wants access) *Repository {
	repo := r.s.find(r.PathValue("owner") + "/" + r.PathValue("name"))
	if repo == nil || r.s.of(r.token.Account, repo) == nothing {
		refuse(r.w, http.StatusNotFound, "Not Found")
		return nil
	}
	if r.s.of(r.token.Account, repo) < wants {
		refuse(r.w, http.StatusNotFound, "Not Found")
		return nil
	}
	public := !repo.Private && level == "read" && permission != "administration"
	sees := r.token.Scopes != nil && slices.Contains(r.token.Scopes, "repo") || r.token.Permissions["metadata"] != "" || !repo.Private
	if !public && !r.may(permission, level, !sees) {
		return nil
	}
	return repo
}

func (r *request) user() {
	write(r.w, http.StatusOK, map[string]any{"login": r.token.Account, "id": 1, "type": "User"})
}

func (r *request) createOwn() { r.create(r.token.Account) }

func (r *request) createOfOrg() {
	admins, is := r.s.admins[r.PathValue("org")]
	switch {
	case !is:
		refuse(r.w, http.StatusNotFound, "Not Found")
	case !slices.Contains(admins, r.token.Account):
		refuse(r.w, http.StatusForbidden, "You need admin access to the organization before adding a repository to it.")
	default:
		r.create(r.PathValue("org"))
	}
}

var nameAllowed = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

func (r *request) create(owner string) {
	var ask struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Private     bool   `json:"private"`
		AutoInit    bool   `json:"auto_init"`
	}
	if !r.read(&ask) || !r.may("administration", "write", false) {
		return
	}
	custom := detail{Resource: "Repository", Code: "custom", Field: "name"}
	switch {
	case !nameAllowed.MatchString(ask.Name):
		custom.Message = "name is invalid"
	case r.s.find(owner+"/"+ask.Name) != nil:
		custom.Message = "name already exists on this account"
	}
	if custom.Message != "" {
		refuse(r.w, http.StatusUnprocessableEntity, "Repository creation failed.", custom)
		return
	}
	made, err := r.s.make(r.Context(), owner+"/"+ask.Name, ask.Private)
	if err != nil {
		refuse(r.w, http.StatusInternalServerError, err.Error())
		return
	}
	write(r.w, http.StatusCreated, r.s.answer(made))
}

// read decodes the body of a request.
func (r *request) read(into any) bool {
	in := json.NewDecoder(r.Body)
	in.DisallowUnknownFields()
	if err := in.Decode(into); err != nil {
		refuse(r.w, http.StatusBadRequest, "Problems parsing JSON")
		return false
	}
	return true
}

func (s *Server) answer(r *Repository) map[string]any {
	visibility := "public"
	if r.Private {
		visibility = "private"
	}
	return map[string]any{
		"full_name": r.Name, "private": r.Private, "visibility": visibility, "default_branch": "main",
		"ssh_url": "ssh://git@" + s.SSHAddress() + "/" + r.Name + ".git", "clone_url": "http://" + s.web.Addr().String() + "/" + r.Name + ".git",
	}
}

func (r *request) show() {
	if repo := r.repository("metadata", "read", reads); repo != nil {
		write(r.w, http.StatusOK, r.s.answer(repo))
	}
}

func (r *request) branches() {
	repo := r.repository("contents", "read", reads)
	if repo == nil {
		return
	}
	out, err := exec.CommandContext(r.Context(), "git", "--git-dir", r.s.folder(repo.Name), "for-each-ref", "--format=%(refname:short)", "refs/heads").Output()
	if err != nil {
		refuse(r.w, http.StatusInternalServerError, err.Error())
		return
	}
	all := []map[string]string{}
	for _, name := range strings.Fields(string(out)) {
		all = append(all, map[string]string{"name": name})
	}
	page(r, all)
}

func (r *request) keys() {
	if repo := r.repository("administration", "read", writes); repo != nil {
		page(r, append([]Key{}, repo.Keys...))
	}
}

// page answers with one page of a list, and the links to the others.
func page[T any](r *request, all []T) {
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(r.FormValue(name)); err == nil && n > 0 {
			return n
		}
		return otherwise
	}
	size, at := min(number("per_page", 30), 100), number("page", 1)
	from, to := min((at-1)*size, len(all)), min(at*size, len(all))
	if to < len(all) {
		r.w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?page=%d&per_page=%d>; rel="next", <http://%[1]s%[2]s?page=%d>; rel="last"`, r.Host, r.URL.Path, at+1, size, (len(all)+size-1)/size))
	}
	write(r.w, http.StatusOK, all[from:to])
}

func (r *request) addKey() {
	var ask struct {
		Title    string `json:"title"`
		Key      string `json:"key"`
		ReadOnly bool   `json:"read_only"`
	}
	repo := r.repository("administration", "write", writes)
	if repo == nil || !r.read(&ask) {
		return
	}
	custom := detail{Resource: "PublicKey", Code: "custom", Field: "key"}
	key, err := normal(ask.Key)
	switch {
	case err != nil:
		custom.Message = "key is invalid. You must supply a key in OpenSSH public key format"
	case r.s.inUse(key):
		custom.Message = "key is already in use"
	}
	if custom.Message != "" {
		refuse(r.w, http.StatusUnprocessableEntity, "Validation Failed", custom)
		return
	}
	r.s.last++
	k := Key{ID: r.s.last, Key: key, Title: ask.Title, ReadOnly: ask.ReadOnly}
	repo.Keys = append(repo.Keys, k)
	write(r.w, http.StatusCreated, k)
}

// inUse reports whether a key is someone's: an account's, or a repository's.
func (s *Server) inUse(key string) bool {
	for _, keys := range s.accounts {
		if slices.Contains(keys, key) {
			return true
		}
	}
	return slices.ContainsFunc(s.repos, func(r *Repository) bool {
		return slices.ContainsFunc(r.Keys, func(k Key) bool { return k.Key == key })
	})
}

func (r *request) deleteKey() {
	repo := r.repository("administration", "write", writes)
	if repo == nil {
		return
	}
	i := slices.IndexFunc(repo.Keys, func(k Key) bool { return strconv.FormatInt(k.ID, 10) == r.PathValue("id") })
	if i < 0 {
		refuse(r.w, http.StatusNotFound, "Not Found")
		return
	}
	repo.Keys = slices.Delete(repo.Keys, i, i+1)
	r.w.WriteHeader(http.StatusNoContent)
}
