// Package tidings tells a Tidings publisher what changed in the mail of an account. Copy this file. It needs only Go's
// standard library.
//
//	publisher, err := tidings.New(os.Getenv("TIDINGS_INGEST_URL"), os.Getenv("TIDINGS_INGEST_TOKEN"))
//	err = publisher.Tell(ctx, "alice", "MessageNew", map[string]*string{"Email": &state, "Mailbox": nil})
//
// Tell returns nil when the publisher has accepted the change, and a *Refused when the publisher refuses it for good.
// Until then, Tell repeats the same event, also while the publisher is away. The context can end Tell earlier. You then
// do not know whether the publisher has the change: send the change again before a newer change of its account.
//
// A Publisher sends one change at a time. Changes of one account keep their order if one goroutine sends them. If the
// process ends, changes whose Tell has not returned are lost. Several processes have no order among each other.
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

// Refused says that the publisher refused a change for good.
type Refused struct {
	Status int
	Reason string
}

func (refused *Refused) Error() string { return fmt.Sprintf("%d %s", refused.Status, refused.Reason) }

// Publisher sends one change at a time, from all goroutines.
type Publisher struct {
	url    string
	token  string
	client http.Client
	turn   chan struct{}
}

// New returns a Publisher. An empty address means http://127.0.0.1:8081. An empty token means no token.
func New(address, token string) (*Publisher, error) {
	if address == "" {
		address = "http://127.0.0.1:8081"
	}
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") {
		return nil, fmt.Errorf("%q is not the http or https URL of a publisher", address)
	}
	if strings.IndexFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0 {
		return nil, errors.New("the token has a character that tokens may not have")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// This is shorter than the publisher's 75 s: a request on a connection that the publisher is closing would be lost.
	transport.IdleConnTimeout = 30 * time.Second
	return &Publisher{
		url:   strings.TrimRight(address, "/") + "/v1/changes",
		token: token,
		client: http.Client{
			Transport: transport,
			Timeout:   timeout,
			// Do not follow redirections: they would turn the POST into a GET.
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

// Tell sends an RFC 5423 event, with the new states by JMAP data type if there are states.
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

// repeat sends the same bytes until the publisher answers for them, so the event keeps its id.
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
		// The pause is random, so that not all senders come at once when a publisher is back.
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

// post gives the status (0 without an answer), the time that the publisher asks to wait, and the text of the answer.
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
	said, _ := io.ReadAll(io.LimitReader(answer.Body, 4096)) // the status alone decides
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
