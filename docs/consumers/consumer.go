// A consumer of webhooks in Go (1.19 or later) without modules: it verifies each request and applies its events to a copy of the
// users, groups and memberships. The tests of Rollcall run this file; see docs/webhooks.md.
//
//	WEBHOOK_SECRET=whsec_… PORT=3000 COPY_FILE=copy.json go run consumer.go
//
// Events without data (thin, or truncated) are read from the server: set ROLLCALL_URL and ROLLCALL_KEY, an API key with the
// permission directory.read.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	toleranceSeconds = 300
	bodyMaxBytes     = 1 << 20
)

type object = map[string]any

// A user or group.
type record struct {
	Version    int64
	Attributes object
	Members    map[string]bool
}

// The copy. Positions has the last applied seq of each configuration, and is stored together with the data.
type directory struct {
	Positions map[string]int64
	Users     map[string]*record
	Groups    map[string]*record
}

type event struct {
	Seq          int64
	Kind         string
	ResourceType string
	ResourceID   string
	Version      int64
	Backfill     bool
	Data         *change
}

type change struct {
	Redacted bool
	Changed  []string
	After    object
	Members  []struct{ Value string }
}

var (
	key    []byte
	file   string
	lock   sync.Mutex
	stored = directory{map[string]int64{}, map[string]*record{}, map[string]*record{}}
)

// Replaces the file as a whole: after a crash it is the one from before or the one from after.
func save() error {
	text, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	created, err := os.Create(file + ".new")
	if err != nil {
		return err
	}
	defer created.Close()
	if _, err := created.Write(text); err != nil {
		return err
	}
	if err := created.Sync(); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func isAuthentic(headers http.Header, body []byte) bool {
	id, sentAt := headers.Get("webhook-id"), headers.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(sentAt, 10, 64)
	if age := time.Now().Unix() - seconds; err != nil || age > toleranceSeconds || age < -toleranceSeconds {
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, sentAt, body)
	expected := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, signature := range strings.Split(headers.Get("webhook-signature"), " ") {
		if hmac.Equal([]byte(signature), []byte(expected)) {
			return true
		}
	}
	return false
}

// Applies an event, unless it was applied before.
func apply(configuration string, event event) {
	position, isKnown := stored.Positions[configuration]
	// Events of the first load all have the seq at which it began; what happened since then follows as live events.
	if isKnown && (event.Seq < position || event.Seq == position && !event.Backfill) {
		return
	}
	applyChange(event)
	stored.Positions[configuration] = event.Seq
}

func applyChange(event event) {
	subject, action, _ := strings.Cut(event.Kind, ".")
	id, data := event.ResourceID, event.Data
	records := stored.Users
	if subject == "group" {
		records = stored.Groups
	}
	current := records[id]
	isOutdated := current != nil && event.Version != 0 && event.Version < current.Version
	switch {
	case subject == "configuration":
	case action == "deleted":
		// An older deletion than the copy: the resource was restored, and a first load has read it since. The memberships
		// that it has again follow as events.
		if isOutdated {
			current.Members = map[string]bool{}
		} else {
			delete(records, id)
		}
		for _, group := range stored.Groups {
			delete(group.Members, id)
		}
	// The data was removed by a purge, and the deletion follows.
	case data.Redacted:
	// An older event than the copy, after a first load. The members of a group do not have its version: the load reads them
	// later.
	case isOutdated && !strings.HasPrefix(action, "member_"):
	case action == "created" || action == "restored":
		if current == nil {
			current = &record{Members: map[string]bool{}}
			records[id] = current
		}
		current.Version, current.Attributes = event.Version, data.After
	// A change of a resource that was deleted before the first load read it.
	case current == nil:
	default:
		// A group can change while the pages of the first load are read: its version stays that of its first event.
		if !event.Backfill && !isOutdated {
			current.Version = event.Version
		}
		for _, member := range data.Members {
			if action == "member_added" {
				current.Members[member.Value] = true
			} else {
				delete(current.Members, member.Value)
			}
		}
		for _, path := range data.Changed {
			changeAttribute(current.Attributes, path, data.After)
		}
	}
}

// The path is `title`, or `urn:…:User:department` for an attribute in the object of an extension.
func changeAttribute(attributes object, path string, after object) {
	target, source, name := attributes, after, path
	colon := strings.LastIndex(path, ":")
	if colon >= 0 {
		urn := path[:colon]
		name = path[colon+1:]
		source, _ = after[urn].(object)
		if target, _ = attributes[urn].(object); target == nil {
			target = object{}
		}
		defer func() {
			if attributes[urn] = target; len(target) == 0 {
				delete(attributes, urn)
			}
		}()
	}
	if value, isThere := source[name]; isThere {
		target[name] = value
	} else {
		delete(target, name)
	}
}

// Reads the data of an event that was sent without it.
func complete(sent event) (event, error) {
	if sent.Data != nil || strings.HasSuffix(sent.Kind, ".deleted") {
		return sent, nil
	}
	if !sent.Backfill {
		var found event
		_, err := read(fmt.Sprintf("events/%d", sent.Seq), &found)
		return found, err
	}
	if sent.Kind == "group.member_added" {
		return sent, errors.New(`a first load needs the payload "full"`)
	}
	var found struct {
		Version  int64
		Resource object
	}
	status, err := read(strings.ToLower(sent.ResourceType)+"s/"+sent.ResourceID, &found)
	if status == http.StatusNotFound {
		// The resource was deleted since: the live event follows.
		sent.Data = &change{Redacted: true}
		return sent, nil
	}
	sent.Version, sent.Data = found.Version, &change{After: found.Resource}
	return sent, err
}

func read(path string, found any) (int, error) {
	request, err := http.NewRequest("GET", os.Getenv("ROLLCALL_URL")+"/directory/resources/v1/"+path, nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("ROLLCALL_KEY"))
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return response.StatusCode, fmt.Errorf("%s: status %d", path, response.StatusCode)
	}
	return response.StatusCode, json.NewDecoder(response.Body).Decode(found)
}

func receive(writer http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(writer, request.Body, bodyMaxBytes))
	if err != nil {
		http.Error(writer, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	if !isAuthentic(request.Header, body) {
		http.Error(writer, "the signature is not valid", http.StatusUnauthorized)
		return
	}
	if err := applyAll(body); err != nil {
		// The server sends the request again.
		http.Error(writer, err.Error(), http.StatusInternalServerError)
		return
	}
	writer.WriteHeader(http.StatusNoContent)
}

func applyAll(body []byte) error {
	// A request of the type `webhook.test` has no events.
	var message struct {
		Data struct {
			ConfigurationID string
			Events          []event
		}
	}
	if err := json.Unmarshal(body, &message); err != nil {
		return err
	}
	for at := range message.Data.Events {
		whole, err := complete(message.Data.Events[at])
		if err != nil {
			return err
		}
		message.Data.Events[at] = whole
	}
	lock.Lock()
	defer lock.Unlock()
	for _, event := range message.Data.Events {
		apply(message.Data.ConfigurationID, event)
	}
	// Also if all events were applied before: storing them could have failed.
	return save()
}

func writeState(writer http.ResponseWriter, _ *http.Request) {
	lock.Lock()
	defer lock.Unlock()
	users, groups, memberships := object{}, object{}, [][2]string{}
	for id, user := range stored.Users {
		users[id] = user.Attributes
	}
	for id, group := range stored.Groups {
		groups[id] = group.Attributes
		for member := range group.Members {
			memberships = append(memberships, [2]string{id, member})
		}
	}
	json.NewEncoder(writer).Encode(object{"users": users, "groups": groups, "memberships": memberships})
}

// The value of a variable, or a default.
func setting(name, value string) string {
	if given := os.Getenv(name); given != "" {
		return given
	}
	return value
}

func main() {
	var err error
	// The key is what follows `whsec_`, decoded.
	if key, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("WEBHOOK_SECRET"), "whsec_")); err != nil {
		log.Fatal(err)
	}
	file = setting("COPY_FILE", "copy.json")
	if text, err := os.ReadFile(file); err == nil {
		if err := json.Unmarshal(text, &stored); err != nil {
			log.Fatal(err)
		}
	}
	http.HandleFunc("/state", writeState)
	http.HandleFunc("/", receive)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+setting("PORT", "3000"), nil))
}
