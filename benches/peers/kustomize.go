package main

import (
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// kustomizePeer runs `kustomize build` on one folder after the other. One Kustomizer serves them all, which is as much
// as the library lets clusters share.
type kustomizePeer struct {
	builder *krusty.Kustomizer
	files   filesys.FileSystem
}

func newKustomize() *kustomizePeer {
	return &kustomizePeer{builder: krusty.MakeKustomizer(krusty.MakeDefaultOptions()), files: filesys.MakeFsOnDisk()}
}

func (k *kustomizePeer) render(cluster cluster) ([]byte, int, error) {
	objects, err := k.builder.Run(k.files, cluster.path)
	if err != nil {
		return nil, 0, err
	}
	text, err := objects.AsYaml()
	if err != nil {
		return nil, 0, err
	}
	return append([]byte("---\n"), text...), objects.Size(), nil
}
