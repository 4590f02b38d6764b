package cloudflaretest

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// answer does a request that met no fault.
func (s *Server) answer(value string, r *http.Request, path string) answer {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return refuse(http.StatusBadRequest, 9207, "the body was cut off")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, verify := s.tokens[value], strings.HasSuffix(path, "/tokens/verify")
	if t == nil || t.status != "active" && !verify {
		if verify {
			return refuse(http.StatusUnauthorized, 1000, "Invalid API Token")
		}
		return refuse(http.StatusForbidden, 9109, "Invalid access token")
	}
	if a, limited := t.limited(time.Now()); limited {
		return a
	}
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	switch {
	case verify:
		return t.verify(parts[0])
	case parts[0] == "zones":
		return s.zoneCall(t, r, body, parts[1:])
	case parts[0] == "accounts" && len(parts) > 2 && parts[1] == Account:
		return s.accountCall(t, r, body, parts[2:])
	case parts[0] == "accounts":
		return refuse(http.StatusForbidden, 9109, "Unauthorized to access requested resource")
	}
	return noRoute(path)
}

func (t *token) verify(owner string) answer {
	if owner != t.owner+"s" && (owner != "user" || t.owner != "user") {
		return refuse(http.StatusUnauthorized, 1000, "Invalid API Token")
	}
	return succeed(map[string]string{"id": "token", "status": t.status})
}

// limited refuses what is too much for the window.
func (t *token) limited(now time.Time) (answer, bool) {
	for len(t.asked) > 0 && now.Sub(t.asked[0]) >= limitWindow {
		t.asked = t.asked[1:]
	}
	if len(t.asked) >= requestLimit {
		a := refuse(http.StatusTooManyRequests, 971, "Please wait and consider throttling your request speed")
		a.retry = (limitWindow - now.Sub(t.asked[0])).Truncate(time.Second) + time.Second
		return a, true
	}
	t.asked = append(t.asked, now)
	return answer{}, false
}

// may reports whether the token has an area's permission for the request's method.
func (t *token) may(r *http.Request, area string) bool {
	return strings.Contains(t.permissions, area+": Edit") || r.Method == http.MethodGet && strings.Contains(t.permissions, area+": Read")
}

func denied() answer {
	return refuse(http.StatusForbidden, 10000, "Authentication error")
}

func noRoute(path string) answer {
	return refuse(http.StatusNotFound, 7003, "Could not route to "+path+", perhaps your object identifier is invalid?")
}

func notAllowed() answer {
	return refuse(http.StatusMethodNotAllowed, 10405, "Method not allowed for this resource")
}

func (s *Server) accountCall(t *token, r *http.Request, body []byte, parts []string) answer {
	switch {
	case parts[0] == "cfd_tunnel":
		if !t.may(r, "Account: Cloudflare Tunnel") {
			return denied()
		}
		return s.tunnelCall(r, body, parts[1:])
	case parts[0] == "access" && len(parts) > 1:
		return s.accessCall(t, r, body, parts[1:])
	}
	return noRoute(strings.Join(parts, "/"))
}
