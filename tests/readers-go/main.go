// Command readers prints, as JSON, what Go's readers of YAML see in the files given on standard input.
//
// In: one JSON object a line, {"path", "text"}. Out: for each of them and each reader one JSON object a line,
// {"path", "reader", "documents"} or {"path", "reader", "error"}. Empty documents are left out, as kubectl does.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	yaml3 "go.yaml.in/yaml/v3"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

type file struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

type answer struct {
	Path      string            `json:"path"`
	Reader    string            `json:"reader"`
	Documents []json.RawMessage `json:"documents"`
	Error     string            `json:"error,omitempty"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "readers:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, to io.Writer) error {
	out := bufio.NewWriter(to)
	answers := json.NewEncoder(out)
	answers.SetEscapeHTML(false)
	for files := json.NewDecoder(in); ; {
		var f file
		if err := files.Decode(&f); errors.Is(err, io.EOF) {
			return out.Flush()
		} else if err != nil {
			return err
		}
		for _, reader := range []struct {
			name string
			read func(string) ([]json.RawMessage, error)
		}{{"kubectl (sigs.k8s.io/yaml)", kubectl}, {"go-yaml 3", goYAML}, {"helm", helm}} {
			documents, err := reader.read(f.Text)
			a := answer{Path: f.Path, Reader: reader.name, Documents: documents}
			if err != nil {
				a.Error, a.Documents = err.Error(), nil
			}
			if err := answers.Encode(a); err != nil {
				return err
			}
		}
	}
}

// kubectl splits a stream and reads its documents as kubectl and Argo CD do.
func kubectl(text string) ([]json.RawMessage, error) {
	documents := []json.RawMessage{}
	for stream := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text))); ; {
		document, err := stream.Read()
		if errors.Is(err, io.EOF) {
			return documents, nil
		} else if err != nil {
			return nil, err
		}
		value, err := yaml.YAMLToJSONStrict(document)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(value, []byte("null")) {
			documents = append(documents, value)
		}
	}
}

// goYAML reads a stream as kustomize's and Helm's newer libraries do.
func goYAML(text string) ([]json.RawMessage, error) {
	documents := []json.RawMessage{}
	for stream := yaml3.NewDecoder(strings.NewReader(text)); ; {
		var value any
		if err := stream.Decode(&value); errors.Is(err, io.EOF) {
			return documents, nil
		} else if err != nil {
			return nil, err
		}
		if value == nil {
			continue
		}
		document, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		documents = append(documents, document)
	}
}

// helm reads each document that is a map as a values file and prints what a template sees of it.
func helm(text string) ([]json.RawMessage, error) {
	split, err := kubectl(text)
	if err != nil {
		return nil, err
	}
	if len(split) != 1 || !bytes.HasPrefix(split[0], []byte("{")) {
		return split, nil // not a values file
	}
	values, err := chartutil.ReadValues([]byte(text))
	if err != nil {
		return nil, err
	}
	// Below a key: Helm adds `global` to the values of a chart and drops what is null there.
	c := &chart.Chart{
		Metadata:  &chart.Metadata{Name: "c", Version: "0.0.0", APIVersion: chart.APIVersionV2},
		Templates: []*chart.File{{Name: "templates/values", Data: []byte("{{ toJson .Values.file.inner }}")}},
	}
	wrapped := map[string]any{"file": map[string]any{"inner": values.AsMap()}}
	top := chartutil.Values{"Values": wrapped, "Release": map[string]any{"Name": "r"}}
	rendered, err := engine.Render(c, top)
	if err != nil {
		return nil, err
	}
	return []json.RawMessage{json.RawMessage(rendered["c/templates/values"])}, nil
}
