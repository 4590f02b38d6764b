package cloudflare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	answerLimit = 30 * time.Second
	maxAnswer   = 16 << 20
	attempts    = 4
	firstPause  = 500 * time.Millisecond
	maxPause    = limitWindow // that an answer may ask for
	maxPages    = 200
)

// A request is one call as often as it has to be made. Only what changes nothing when it is
// done twice is repeated after a failure that may have come late.
type request struct {
	method     string
	path       string // below the base
	query      url.Values
	body       []byte // JSON
	permission Permission
}

// An envelope is the frame of every answer.
type envelope struct {
	Success *bool           `json:"success"`
	Errors  []problem       `json:"errors"`
	Result  json.RawMessage `json:"result"`
	Info    struct {
		Page       int `json:"page"`
		TotalPages int `json:"total_pages"`
		PerPage    int `json:"per_page"`
		TotalCount int `json:"total_count"`
	} `json:"result_info"`
}

// more says whether pages come after the page-th.
func (e envelope) more(page int) bool {
	total := e.Info.TotalPages
	if total == 0 && e.Info.PerPage > 0 {
		total = (e.Info.TotalCount + e.Info.PerPage - 1) / e.Info.PerPage
	}
	return page < total
}

// call does a request and decodes its result into answer, unless that is nil.
func (c *Client) call(ctx context.Context, r request, answer any) error {
	e, err := c.patiently(ctx, r)
	if err != nil || answer == nil {
		return err
	}
	return r.decode(e, answer)
}

func (r request) decode(e envelope, answer any) error {
	if err := json.Unmarshal(e.Result, answer); err != nil {
		return fmt.Errorf("%s %s: the answer is not what the API describes", r.method, r.path)
	}
	return nil
}

// list does a request for every page and returns all results, or an error: part of a list
// is never returned.
func list[T any](ctx context.Context, c *Client, r request, perPage int) ([]T, error) {
	query := url.Values{}
	for name, values := range r.query {
		query[name] = values
	}
	query.Set("per_page", strconv.Itoa(perPage))
	var all []T
	for page := 1; ; page++ {
		if page > maxPages {
			return nil, fmt.Errorf("%s %s: the list has no end", r.method, r.path)
		}
		query.Set("page", strconv.Itoa(page))
		r.query = query
		e, err := c.patiently(ctx, r)
		if err != nil {
			return nil, err
		}
		var some []T
		if err := r.decode(e, &some); err != nil {
			return nil, err
		}
		all = append(all, some...)
		if !e.more(page) {
			return all, nil
		}
	}
}

// patiently does a request until it has an answer that counts.
func (c *Client) patiently(ctx context.Context, r request) (envelope, error) {
	for try := 1; ; try++ {
		if err := c.share.wait(ctx); err != nil {
			return envelope{}, fmt.Errorf("%s %s: %w: its limit of requests is used up: %w", r.method, r.path, ErrAway, err)
		}
		e, pause, err := c.once(ctx, r)
		if err == nil || pause < 0 || try == attempts {
			return e, err
		}
		if pause == 0 {
			pause = firstPause << (try - 1)
			pause = pause/2 + rand.N(pause/2)
		}
		if sleep(ctx, pause) != nil {
			return e, err
		}
	}
}

// once returns what the API answers, and how long to wait before the next try: 0 for as long
// as is usual, less for no other try.
func (c *Client) once(ctx context.Context, r request) (e envelope, pause time.Duration, err error) {
	again := time.Duration(0)
	if r.method == http.MethodPost {
		again = -1 // it may have been done
	}
	status, header, content, err := c.exchange(ctx, r)
	if err != nil {
		if ctx.Err() != nil {
			return e, -1, context.Cause(ctx)
		}
		return e, again, fmt.Errorf("%s %s: %w: %w", r.method, r.path, ErrAway, err)
	}
	broken := json.Unmarshal(content, &e) != nil || e.Success == nil
	switch {
	case status == http.StatusTooManyRequests:
		pause = retryAfter(header)
		c.share.close(pause)
		return e, 0, c.refusal(r.method, r.path, status, e.Errors, r.permission)
	case status >= 500:
		return e, again, c.refusal(r.method, r.path, status, e.Errors, r.permission)
	case status/100 == 2 && broken:
		return e, again, fmt.Errorf("%s %s: %w: the answer was cut off", r.method, r.path, ErrAway)
	case status/100 != 2 || !*e.Success:
		return e, -1, c.refusal(r.method, r.path, status, e.Errors, r.permission)
	}
	return e, 0, nil
}

// exchange sends a request and reads the whole answer, within answerLimit.
func (c *Client) exchange(ctx context.Context, r request) (int, http.Header, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	where := c.base + r.path
	if len(r.query) > 0 {
		where += "?" + r.query.Encode()
	}
	ask, err := http.NewRequestWithContext(ctx, r.method, where, bytes.NewReader(r.body))
	if err != nil {
		return 0, nil, nil, err
	}
	ask.Header.Set("Authorization", "Bearer "+string(c.token.Reveal()))
	if r.body != nil {
		ask.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(ask)
	if err != nil {
		var address *url.Error
		if errors.As(err, &address) {
			err = address.Err // without the address, which is known
		}
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(content) > maxAnswer {
		err = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	return resp.StatusCode, resp.Header, content, err
}

// retryAfter is how long an answer asks to wait, at least a second. Source: RFC 9110, 10.2.3;
// Cloudflare sends seconds.
func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds < 1 {
		return time.Second
	}
	return min(time.Duration(seconds)*time.Second, maxPause)
}
