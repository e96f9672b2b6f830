// Command peers renders a generated fleet with other people's libraries, all clusters in one process: kustomize's api on
// kustomizations, Helm's engine on one chart. In: a folder as `fleet` writes it. Out: the objects of every cluster as
// YAML on stdout (or nothing, or lines of JSON), one line of JSON with the measurement on stderr. Touches nothing.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"syscall"
	"time"
)

// A renderer turns one cluster's files into a YAML stream; it says how many objects are in it.
type renderer interface {
	render(cluster cluster) (yaml []byte, objects int, err error)
}

type cluster struct{ site, name, path string }

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(2)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errors.New("usage: peers kustomize|helm [-limit N] [-only NAME] [-discard] [-sort] [-json] DIR")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	limit := flags.Int("limit", 0, "render only so many clusters, spread over the sites; 0: all")
	only := flags.String("only", "", "render only the cluster of this name")
	discard := flags.Bool("discard", false, "write no objects")
	sorted := flags.Bool("sort", false, "helm: split, read and sort the manifests, as its template verb does")
	asJSON := flags.Bool("json", false, `write lines {"site","destination","object"} instead of YAML`)
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("name one folder")
	}
	dir := flags.Arg(0)

	start := time.Now()
	var peer renderer
	var clusters []cluster
	var err error
	switch args[0] {
	case "kustomize":
		peer = newKustomize()
		clusters, err = find(filepath.Join(dir, "clusters", "*", "*"))
	case "helm":
		if peer, err = newHelm(dir, *sorted); err == nil {
			clusters, err = find(filepath.Join(dir, "clusters", "*", "*.yaml"))
		}
	default:
		err = fmt.Errorf("no peer %q", args[0])
	}
	if err != nil {
		return err
	}
	clusters = choose(clusters, *limit, *only)

	out := bufio.NewWriterSize(stdout, 1<<20)
	if *discard {
		out.Reset(io.Discard)
	}
	objects, bytes := 0, 0
	for _, cluster := range clusters {
		text, count, err := peer.render(cluster)
		if err != nil {
			return fmt.Errorf("%s: %w", cluster.path, err)
		}
		objects += count
		bytes += len(text)
		if *asJSON {
			err = writeLines(out, cluster, text)
		} else {
			_, err = out.Write(text)
		}
		if err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return report(stderr, time.Since(start), len(clusters), objects, bytes)
}

func find(pattern string) ([]cluster, error) {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("nothing is at %s", pattern)
	}
	sort.Strings(paths)
	clusters := make([]cluster, 0, len(paths))
	for _, path := range paths {
		name := filepath.Base(path)
		name = name[:len(name)-len(filepath.Ext(name))]
		site := filepath.Base(filepath.Dir(path))
		clusters = append(clusters, cluster{site: site, name: name, path: path})
	}
	return clusters, nil
}

func choose(clusters []cluster, limit int, only string) []cluster {
	chosen := clusters
	if only != "" {
		chosen = nil
		for _, cluster := range clusters {
			if cluster.name == only {
				chosen = append(chosen, cluster)
			}
		}
	}
	if limit == 0 || limit >= len(chosen) {
		return chosen
	}
	spread := make([]cluster, 0, limit)
	for n := range limit {
		spread = append(spread, chosen[n*len(chosen)/limit])
	}
	return spread
}

func report(out io.Writer, wall time.Duration, clusters, objects, bytes int) error {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return err
	}
	cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	rss := usage.Maxrss // kibibytes on Linux, bytes on a Mac
	if runtime.GOOS == "darwin" {
		rss /= 1024
	}
	return json.NewEncoder(out).Encode(map[string]any{
		"wall_ms": float64(wall.Microseconds()) / 1e3, "cpu_ms": float64(cpu.Microseconds()) / 1e3, "rss_kib": rss,
		"clusters": clusters, "objects": objects, "bytes": bytes,
	})
}
