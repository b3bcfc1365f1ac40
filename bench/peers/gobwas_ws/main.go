// A push server after "A Million WebSockets and Go" (Mail.Ru): zero-copy upgrade with gobwas/ws, no goroutine and no
// buffer per connection, epoll for reads, a small pool of goroutines for reads and writes, frames compiled once.
// HS256 JWT on the upgrade; changes come as JSON over HTTP: {"account": {"Email": "state"}, ...}.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/sys/unix"
)

// A client. Nothing but the poller and the pool's goroutines touches it.
type conn struct {
	net.Conn
	fd      int
	account string
}

type server struct {
	secret   []byte
	mu       sync.RWMutex
	byFd     map[int]*conn
	accounts map[string][]*conn
	epfd     int
	work     chan func()
}

// The descriptor below a connection, or -1.
func fdOf(c net.Conn) int {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return -1
	}
	fd := -1
	raw.Control(func(f uintptr) { fd = int(f) })
	return fd
}

// Runs a task in one of the pool's goroutines (the article's gopool).
func (s *server) schedule(task func()) { s.work <- task }

// The account that a token names, if its signature and its time are right.
func (s *server) accountOf(token string) (string, error) {
	claims := jwt.RegisteredClaims{}
	_, err := jwt.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return s.secret, nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
	if err != nil {
		return "", err
	}
	return claims.Subject, nil
}

// Answers an upgrade and parks the connection.
func (s *server) upgrade(c net.Conn) {
	account := ""
	up := ws.Upgrader{
		OnHeader: func(key, value []byte) error {
			if strings.EqualFold(string(key), "authorization") {
				token := strings.TrimPrefix(string(value), "Bearer ")
				name, err := s.accountOf(token)
				if err != nil {
					return ws.RejectConnectionError(ws.RejectionStatus(401))
				}
				account = name
			}
			return nil
		},
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			if account == "" {
				return nil, ws.RejectConnectionError(ws.RejectionStatus(401))
			}
			return nil, nil
		},
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	parked := &conn{Conn: c, fd: fdOf(c)}
	if _, err := up.Upgrade(c); err != nil {
		c.Close()
		return
	}
	c.SetDeadline(time.Time{})
	parked.account = account
	s.mu.Lock()
	s.byFd[parked.fd] = parked
	s.accounts[account] = append(s.accounts[account], parked)
	s.mu.Unlock()
	unix.EpollCtl(s.epfd, unix.EPOLL_CTL_ADD, parked.fd,
		&unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(parked.fd)})
}

func (s *server) drop(c *conn) {
	s.mu.Lock()
	delete(s.byFd, c.fd)
	list := s.accounts[c.account]
	for i, other := range list {
		if other == c {
			list = append(list[:i], list[i+1:]...)
			break
		}
	}
	if len(list) == 0 {
		delete(s.accounts, c.account)
	} else {
		s.accounts[c.account] = list
	}
	s.mu.Unlock()
	unix.EpollCtl(s.epfd, unix.EPOLL_CTL_DEL, c.fd, nil)
	c.Close()
}

func (s *server) read(c *conn) {
	if _, _, err := wsutil.ReadClientData(c); err != nil {
		s.drop(c)
		return
	}
	unix.EpollCtl(s.epfd, unix.EPOLL_CTL_MOD, c.fd,
		&unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(c.fd)})
}

func (s *server) poll() {
	events := make([]unix.EpollEvent, 512)
	for {
		n, err := unix.EpollWait(s.epfd, events, -1)
		if err != nil && err != unix.EINTR {
			log.Fatal(err)
		}
		for i := 0; i < n; i++ {
			s.mu.RLock()
			c := s.byFd[int(events[i].Fd)]
			s.mu.RUnlock()
			if c != nil {
				s.schedule(func() { s.read(c) })
			}
		}
	}
}

func (s *server) changes(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	told := map[string]map[string]string{}
	if err == nil {
		err = json.Unmarshal(body, &told)
	}
	if err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	for account, states := range told {
		message, _ := json.Marshal(map[string]any{"@type": "StateChange", "changed": map[string]any{account: states}})
		frame, _ := ws.CompileFrame(ws.NewTextFrame(message))
		s.mu.RLock()
		list := append([]*conn(nil), s.accounts[account]...)
		s.mu.RUnlock()
		for _, c := range list {
			if _, err := c.Write(frame); err != nil {
				s.drop(c)
			}
		}
	}
	w.WriteHeader(202)
}

func main() {
	port := flag.Int("port", 0, "clients")
	ingest := flag.Int("ingest", 0, "changes")
	secret := flag.String("secret", "", "HS256")
	pool := flag.Int("pool", 128, "goroutines")
	flag.Parse()
	s := &server{secret: []byte(*secret), byFd: map[int]*conn{}, accounts: map[string][]*conn{}, work: make(chan func(), 1024)}
	var err error
	if s.epfd, err = unix.EpollCreate1(0); err != nil {
		log.Fatal(err)
	}
	for i := 0; i < *pool; i++ {
		go func() {
			for task := range s.work {
				task()
			}
		}()
	}
	go s.poll()
	go func() {
		mux := http.NewServeMux()
		mux.HandleFunc("POST /changes", s.changes)
		log.Fatal(http.ListenAndServe(fmt.Sprintf("127.0.0.1:%d", *ingest), mux))
	}()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	for {
		c, err := listener.Accept()
		if err != nil {
			log.Print(err)
			time.Sleep(5 * time.Millisecond)
			continue
		}
		s.schedule(func() { s.upgrade(c) })
	}
}
