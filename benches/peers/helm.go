package main

import (
	"bytes"
	"path/filepath"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
)

// helmPeer loads the chart once and renders it per cluster with the values of its overlay, its site and itself. The text
// that comes out is taken as it is, neither parsed nor checked, unless it has to be sorted.
type helmPeer struct {
	dir   string
	sort  bool
	chart *chart.Chart
	files map[string]chartutil.Values // values of overlays and sites, read once
}

func newHelm(dir string, sort bool) (*helmPeer, error) {
	loaded, err := loader.LoadDir(filepath.Join(dir, "chart"))
	if err != nil {
		return nil, err
	}
	return &helmPeer{dir: dir, sort: sort, chart: loaded, files: map[string]chartutil.Values{}}, nil
}

func (h *helmPeer) render(cluster cluster) ([]byte, int, error) {
	site, err := h.shared(filepath.Join("sites", cluster.site+".yaml"))
	if err != nil {
		return nil, 0, err
	}
	overlay, err := h.shared(site["overlayFile"].(string))
	if err != nil {
		return nil, 0, err
	}
	own, err := chartutil.ReadValuesFile(cluster.path)
	if err != nil {
		return nil, 0, err
	}
	// `-f overlay -f site -f cluster`: none of them nests into another's maps.
	merged := map[string]any{}
	for _, values := range []chartutil.Values{overlay, site, own} {
		for key, value := range values {
			merged[key] = value
		}
	}
	options := chartutil.ReleaseOptions{Name: cluster.name, Namespace: "dpf-operator-system", IsInstall: true}
	values, err := chartutil.ToRenderValues(h.chart, merged, options, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, 0, err
	}
	texts, err := engine.Render(h.chart, values)
	if err != nil {
		return nil, 0, err
	}
	if h.sort {
		return sortedStream(texts)
	}
	names := make([]string, 0, len(texts))
	for name := range texts {
		names = append(names, name)
	}
	sort.Strings(names)
	var out bytes.Buffer
	objects := 0
	for _, name := range names {
		out.WriteString(texts[name])
		objects += strings.Count(texts[name], "---\n")
	}
	return out.Bytes(), objects, nil
}

// sortedStream does what stands between the engine and the output of `helm template`.
func sortedStream(texts map[string]string) ([]byte, int, error) {
	_, manifests, err := releaseutil.SortManifests(texts, nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, 0, err
	}
	var out bytes.Buffer
	for _, manifest := range manifests {
		out.WriteString("---\n")
		out.WriteString(manifest.Content)
		out.WriteString("\n")
	}
	return out.Bytes(), len(manifests), nil
}

func (h *helmPeer) shared(path string) (chartutil.Values, error) {
	if values, known := h.files[path]; known {
		return values, nil
	}
	values, err := chartutil.ReadValuesFile(filepath.Join(h.dir, path))
	if err == nil {
		h.files[path] = values
	}
	return values, err
}
