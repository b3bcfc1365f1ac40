// Sends the changes on standard input to a publisher: go run . <changes. Each line is
//
//	ACCOUNT EVENT [STATES]        alice MessageNew {"Email": "s1042", "Mailbox": "s77"}
//
// If the publisher refuses a change, the program reports it and goes on. The exit code is then 1.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"strings"

	"example.org/publish/tidings"
)

func giveUp(format string, values ...any) {
	log.Printf(format, values...)
	os.Exit(2)
}

func main() {
	log.SetFlags(0)
	publisher, err := tidings.New(os.Getenv("TIDINGS_INGEST_URL"), os.Getenv("TIDINGS_INGEST_TOKEN"))
	if err != nil {
		giveUp("%v", err)
	}
	code := 0
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		parts := strings.SplitN(strings.TrimSpace(lines.Text()), " ", 3)
		if len(parts) < 2 {
			giveUp("not ACCOUNT EVENT [STATES]: %q", lines.Text())
		}
		var changed map[string]*string
		if len(parts) == 3 {
			if err := json.Unmarshal([]byte(parts[2]), &changed); err != nil {
				giveUp("%s: %v", parts[2], err)
			}
		}
		err := publisher.Tell(context.Background(), parts[0], parts[1], changed)
		var refused *tidings.Refused
		if errors.As(err, &refused) {
			log.Printf("refused: %s %s: %v", parts[0], parts[1], refused)
			code = 1
		} else if err != nil {
			giveUp("%v", err)
		}
	}
	if err := lines.Err(); err != nil {
		giveUp("%v", err)
	}
	os.Exit(code)
}
