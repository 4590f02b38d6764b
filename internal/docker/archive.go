package docker

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
)

// A PathStat is what is at a path in a container.
type PathStat struct {
	Name       string      `json:"name"`
	Mode       fs.FileMode `json:"mode"`
	LinkTarget string      `json:"linkTarget"` // in the container, "" where it is not a link
}

// Stat says what is at a path in a container, running or not; an error wraps ErrNoSuch
// where nothing is.
func (e *Engine) Stat(ctx context.Context, id, path string) (PathStat, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://docker/containers/"+id+"/archive?path="+url.QueryEscape(path), nil)
	if err != nil {
		return PathStat{}, err
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return PathStat{}, fmt.Errorf("ask the Docker engine: %w", err)
	}
	defer resp.Body.Close() // a HEAD has none
	switch resp.StatusCode {
	case http.StatusOK:
		return parsePathStat(resp.Header.Get("X-Docker-Container-Path-Stat"))
	case http.StatusNotFound:
		return PathStat{}, fmt.Errorf("docker engine: %s: %w", path, ErrNoSuch)
	}
	return PathStat{}, fmt.Errorf("docker engine: %s: %s", path, resp.Status)
}

func parsePathStat(header string) (s PathStat, err error) {
	content, err := base64.StdEncoding.DecodeString(header)
	if err == nil {
		err = json.Unmarshal(content, &s)
	}
	if err != nil {
		err = fmt.Errorf("read the Docker engine's path: %w", err)
	}
	return s, err
}
