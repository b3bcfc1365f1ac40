// Package tidings tells a Tidings publisher what changed in the mail of an account. Copy this file: it needs nothing but
// Go's standard library.
//
//	publisher, err := tidings.New(os.Getenv("TIDINGS_INGEST_URL"), os.Getenv("TIDINGS_INGEST_TOKEN"))
//	err = publisher.Tell(ctx, "alice", "MessageNew", map[string]*string{"Email": &state, "Mailbox": nil})
//
// Tell returns nil when the publisher answers for the change, and a *Refused when the publisher will never take it. Until
// one of both, Tell repeats the same event, also while the publisher is away. Only the context ends that earlier: whether
// the publisher has the change is then not known, and it has to be told again before a newer change of its account.
//
// A Publisher tells one change at a time. Changes of one account keep their order when one goroutine tells them. What
// has not returned yet is lost with the process. Several processes have no order among each other.
package tidings

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	mathrand "math/rand"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	source       = "/tidings-go"
	timeout      = 10 * time.Second
	longestPause = 5 * time.Second
	longestWait  = 60 * time.Second
)

// Refused says that the publisher will not take a change, however often it is told.
type Refused struct {
	Status int
	Reason string
}

func (refused *Refused) Error() string { return fmt.Sprintf("%d %s", refused.Status, refused.Reason) }

// Publisher tells one change at a time, whichever goroutine asks.
type Publisher struct {
	url    string
	token  string
	client http.Client
	turn   chan struct{}
}

// New returns a Publisher. An empty address is http://127.0.0.1:8081; an empty token is none.
func New(address, token string) (*Publisher, error) {
	if address == "" {
		address = "http://127.0.0.1:8081"
	}
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") {
		return nil, fmt.Errorf("%q is not the http or https URL of a publisher", address)
	}
	if strings.IndexFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0 {
		return nil, errors.New("the token has a character that no token has")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// Shorter than the 75 s of the publisher: a request that meets the closing of its connection is lost on its way.
	transport.IdleConnTimeout = 30 * time.Second
	return &Publisher{
		url:   strings.TrimRight(address, "/") + "/v1/changes",
		token: token,
		client: http.Client{
			Transport: transport,
			Timeout:   timeout,
			// A redirection is refused. Followed, it would make a GET of the POST.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		turn: make(chan struct{}, 1),
	}, nil
}

type event struct {
	SpecVersion string `json:"specversion"`
	ID          string `json:"id"`
	Source      string `json:"source"`
	Type        string `json:"type"`
	Subject     string `json:"subject"`
	Time        string `json:"time"`
	Data        *data  `json:"data,omitempty"`
}

type data struct {
	Changed map[string]*string `json:"changed"`
}

// Tell tells of an RFC 5423 event, and of the new states by JMAP data type where there are states.
func (publisher *Publisher) Tell(ctx context.Context, account, name string, changed map[string]*string) error {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return err
	}
	told := event{"1.0", hex.EncodeToString(id), source, "mail." + name, account, time.Now().UTC().Format(time.RFC3339Nano), nil}
	if changed != nil {
		told.Data = &data{changed}
	}
	body, err := json.Marshal(told)
	if err != nil {
		return err
	}
	select {
	case publisher.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-publisher.turn }()
	return publisher.repeat(ctx, body)
}

// repeat sends until it is answered for: always the same bytes, so the event has the same id each time.
func (publisher *Publisher) repeat(ctx context.Context, body []byte) error {
	bound := 250 * time.Millisecond
	for {
		status, wait, reason := publisher.post(ctx, body)
		switch status {
		case http.StatusAccepted:
			return nil
		case 0, http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		default:
			return &Refused{status, reason}
		}
		// A random pause: publishers that come back are not met by everybody at once.
		pause := wait + time.Duration(mathrand.Int63n(int64(bound)))
		log.Printf("not taken, told again in %.1f s: %d %s", pause.Seconds(), status, reason)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		if bound *= 2; bound > longestPause {
			bound = longestPause
		}
	}
}

// post gives the status, or 0 without an answer; how long the publisher asks to wait; and what it says.
func (publisher *Publisher) post(ctx context.Context, body []byte) (int, time.Duration, string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, publisher.url, bytes.NewReader(body))
	if err != nil {
		return 0, 0, err.Error()
	}
	request.Header.Set("Content-Type", "application/cloudevents+json")
	if publisher.token != "" {
		request.Header.Set("Authorization", "Bearer "+publisher.token)
	}
	answer, err := publisher.client.Do(request)
	if err != nil {
		return 0, 0, err.Error()
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(answer.Body, 4096)) // the status says what counts
	seconds, err := strconv.ParseUint(answer.Header.Get("Retry-After"), 10, 31)
	wait := time.Duration(seconds) * time.Second
	if err != nil {
		wait = 0 // absent, or a date
	}
	if wait > longestWait {
		wait = longestWait
	}
	return answer.StatusCode, wait, string(said)
}
