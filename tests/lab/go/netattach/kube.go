package main

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

var (
	pods        = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	definitions = schema.GroupVersionResource{
		Group: "k8s.cni.cncf.io", Version: "v1", Resource: "network-attachment-definitions"}
)

// kube is all the plugin asks of the API server.
type kube struct{ client dynamic.Interface }

func newKube(kubeconfig string) (*kube, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("netattach: kubeconfig %s: %w", kubeconfig, err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("netattach: kubeconfig %s: %w", kubeconfig, err)
	}
	return &kube{client}, nil
}

func (k *kube) selections(ctx context.Context, namespace, name string) ([]selection, error) {
	pod, err := k.client.Resource(pods).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading the pod: %w", err)
	}
	return parseSelections(pod.GetAnnotations()[networksAnnotation], namespace)
}

func (k *kube) networkConfig(ctx context.Context, namespace, name string) ([]byte, error) {
	definition, err := k.client.Resource(definitions).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading NetworkAttachmentDefinition %s/%s: %w", namespace, name, err)
	}
	config, _, err := unstructured.NestedString(definition.Object, "spec", "config")
	if err != nil || config == "" {
		return nil, fmt.Errorf("NetworkAttachmentDefinition %s/%s has no spec.config", namespace, name)
	}
	return []byte(config), nil
}

func (k *kube) setStatus(ctx context.Context, namespace, name string, statuses []networkStatus) error {
	value, err := json.MarshalIndent(statuses, "", "    ")
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"annotations": map[string]string{statusAnnotation: string(value)}}})
	if err != nil {
		return err
	}
	_, err = k.client.Resource(pods).Namespace(namespace).
		Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("writing annotation %s: %w", statusAnnotation, err)
	}
	return nil
}
