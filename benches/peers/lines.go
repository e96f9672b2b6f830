package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"k8s.io/apimachinery/pkg/util/yaml"
)

// writeLines writes a YAML stream as lines of objects, so that they can be compared with what was expected.
func writeLines(out io.Writer, cluster cluster, text []byte) error {
	documents := yaml.NewYAMLToJSONDecoder(bytes.NewReader(text))
	for {
		var object map[string]any
		if err := documents.Decode(&object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if object == nil {
			continue
		}
		line := map[string]any{"site": cluster.site, "destination": cluster.name, "object": object}
		if err := json.NewEncoder(out).Encode(line); err != nil {
			return err
		}
	}
}
