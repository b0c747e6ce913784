package main

import (
	"bytes"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serve answers all requests on a Unix socket with a status and a body, and returns the path of the socket.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return socket
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		w.Write([]byte(body))
	}
}

func TestGet(t *testing.T) {
	const info = `{"ServerVersion":"28.5.2","Containers":3,"Debug":false,"Labels":[],"Driver":"","NCPU":2.50}`
	for name, test := range map[string]struct {
		arguments      []string
		handler        http.HandlerFunc
		code           int
		stdout, stderr string
	}{
		"body":           {nil, answer(200, "OK"), 0, "OK", ""},
		"fields":         {[]string{"--fields", "ServerVersion,Containers,Debug"}, answer(200, info), 0, `{"serverVersion":"28.5.2","containers":3,"debug":false}` + "\n", ""},
		"notation":       {[]string{"--fields", "NCPU"}, answer(200, info), 0, `{"nCPU":2.50}` + "\n", ""},
		"long text":      {[]string{"--fields", "A"}, answer(200, `{"A":"`+strings.Repeat("é", 300)+`"}`), 0, `{"a":"` + strings.Repeat("é", 200) + `"}` + "\n", ""},
		"missing field":  {[]string{"--fields", "Missing"}, answer(200, info), 1, "", "the field Missing of the response is missing"},
		"empty field":    {[]string{"--fields", "Driver"}, answer(200, info), 1, "", "the field Driver of the response is empty"},
		"list":           {[]string{"--fields", "Labels"}, answer(200, info), 1, "", "neither a text nor a number"},
		"no JSON":        {[]string{"--fields", "A"}, answer(200, "<html>"), 1, "", "not a JSON object"},
		"error":          {nil, answer(500, `{"message":"no idea"}`), 1, "", `500 Internal Server Error: {"message":"no idea"}`},
		"long error":     {nil, answer(500, strings.Repeat("x", 5000)), 1, "", strings.Repeat("x", maxErrorBytes) + "\n"},
		"redirect":       {nil, http.RedirectHandler("http://192.0.2.1/", http.StatusFound).ServeHTTP, 1, "", "302 Found"},
		"large response": {nil, answer(200, strings.Repeat("x", maxBodyBytes+1)), 1, "", "larger than 1048576 bytes"},
		"slow response": {[]string{"--timeout", "50ms"}, func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, 1, "", "deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			arguments := append(append([]string{"get"}, test.arguments...), serve(t, test.handler), "/info")
			began := time.Now()
			code := run(arguments, &stdout, &stderr)
			if code != test.code || stdout.String() != test.stdout || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("got %d, %q, %q", code, stdout.String(), stderr.String())
			}
			if time.Since(began) > defaultTimeout {
				t.Error("the time-out does not apply")
			}
		})
	}
}

func TestRequestedPath(t *testing.T) {
	var requested string
	socket := serve(t, func(_ http.ResponseWriter, r *http.Request) { requested = r.Method + " " + r.URL.Path })
	if code := run([]string{"get", socket, "/v1/info"}, &bytes.Buffer{}, &bytes.Buffer{}); code != 0 || requested != "GET /v1/info" {
		t.Errorf("got %d, %q", code, requested)
	}
}

func TestMissingSocket(t *testing.T) {
	var stderr bytes.Buffer
	if code := run([]string{"get", filepath.Join(t.TempDir(), "none"), "/info"}, &bytes.Buffer{}, &stderr); code != 1 || !strings.Contains(stderr.String(), "no such file") {
		t.Errorf("got %d, %q", code, stderr.String())
	}
}

func TestInvalidArguments(t *testing.T) {
	for _, arguments := range []string{"", "put /s /info", "get", "get /s", "get /s info", "get --timeout 0 /s /info", "get --timeout x /s /info", "get --other /s /info"} {
		var stderr bytes.Buffer
		if code := run(strings.Fields(arguments), &bytes.Buffer{}, &stderr); code != 2 || !strings.Contains(stderr.String(), "usage: agent get") {
			t.Errorf("%q: got %d, %q", arguments, code, stderr.String())
		}
	}
}
