package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// maxBodyBytes bounds the response: dockerd may be an impostor in the user's image.
	maxBodyBytes = 1 << 20
	// maxTextRunes bounds each field. The fields become part of the Sandbox's status.
	maxTextRunes = 200
	// maxErrorBytes bounds how much of an error response is printed.
	maxErrorBytes = 1024

	defaultTimeout = 10 * time.Second
)

// get requests a path from an HTTP server that listens on a Unix socket, and prints the body of the response.
// With --fields, it prints an object of these fields of the body, with their first letters in lower case. A field that is missing, or that
// is an empty string, is an error.
func get(arguments []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("get", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	timeout := flags.Duration("timeout", defaultTimeout, "")
	fields := flags.String("fields", "", "")
	if err := flags.Parse(arguments); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() != 2 || *timeout <= 0 || !strings.HasPrefix(flags.Arg(1), "/") {
		return errUsage
	}
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	body, err := request(ctx, flags.Arg(0), flags.Arg(1))
	if err != nil {
		return err
	}
	if *fields != "" {
		if body, err = selectFields(body, strings.Split(*fields, ",")); err != nil {
			return err
		}
	}
	_, err = stdout.Write(body)
	return err
}

func request(ctx context.Context, socket, path string) ([]byte, error) {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}
	// A redirect can't lead anywhere but to the same socket. It is reported instead of followed.
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	response, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBodyBytes+1))
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: %s", response.Status, bytes.TrimSpace(body[:min(len(body), maxErrorBytes)]))
	case len(body) > maxBodyBytes:
		return nil, fmt.Errorf("the response is larger than %d bytes", maxBodyBytes)
	}
	return body, nil
}

func selectFields(body []byte, names []string) ([]byte, error) {
	var object map[string]any
	decoder := json.NewDecoder(bytes.NewReader(body))
	// A number keeps its notation.
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil {
		return nil, fmt.Errorf("the response is not a JSON object: %w", err)
	}
	var result bytes.Buffer
	for i, name := range names {
		value, err := scalar(object[name])
		if err != nil {
			return nil, fmt.Errorf("the field %s of the response %w", name, err)
		}
		separator := byte(',')
		if i == 0 {
			separator = '{'
		}
		result.WriteByte(separator)
		fmt.Fprintf(&result, "%q:%s", strings.ToLower(name[:1])+name[1:], value)
	}
	result.WriteString("}\n")
	return result.Bytes(), nil
}

// scalar returns a value of a field as JSON.
func scalar(value any) ([]byte, error) {
	switch value := value.(type) {
	case string:
		if value == "" {
			return nil, errors.New("is empty")
		}
		runes := []rune(value)
		return json.Marshal(string(runes[:min(len(runes), maxTextRunes)]))
	case json.Number, bool:
		return json.Marshal(value)
	case nil:
		return nil, errors.New("is missing")
	default:
		return nil, errors.New("is neither a text nor a number")
	}
}
