// What Helm and Docker Compose would make of the files in deploy/.
//
//	tool chart FOLDER VALUES...   lints the chart as `helm lint --strict` does and prints what `helm template` prints
//	tool refuses FOLDER VALUES    says why Helm refuses the values; fails when it does not
//	tool compose FILE             prints the project as `docker compose config` does, as JSON
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
)

const namespace = "metrics"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 3 && arguments[0] == "refuses":
		_, err := render(arguments[1], arguments[2])
		if err == nil {
			return errors.New("the values are accepted")
		}
		fmt.Println(err)
		return nil
	case len(arguments) >= 3 && arguments[0] == "chart":
		for _, values := range arguments[2:] {
			text, err := render(arguments[1], values)
			if err != nil {
				return fmt.Errorf("%s: %w", values, err)
			}
			fmt.Print(text)
		}
		return nil
	case len(arguments) == 2 && arguments[0] == "compose":
		return compose(arguments[1])
	}
	return errors.New("usage: tool chart FOLDER VALUES... | refuses FOLDER VALUES | compose FILE")
}

// render gives every document, each after a line that names its template.
func render(folder, valuesFile string) (string, error) {
	values, err := chartutil.ReadValuesFile(valuesFile)
	if err != nil {
		return "", err
	}
	var mistakes []string
	for _, message := range lint.All(folder, values, namespace, true).Messages {
		if message.Severity >= support.WarningSev {
			mistakes = append(mistakes, message.Error())
		}
	}
	if len(mistakes) > 0 {
		return "", errors.New(strings.Join(mistakes, "\n"))
	}
	chart, err := loader.Load(folder)
	if err != nil {
		return "", err
	}
	release := chartutil.ReleaseOptions{Name: "shop", Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(chart, values, release, chartutil.DefaultCapabilities)
	if err != nil {
		return "", err
	}
	files, err := engine.Engine{Strict: true}.Render(chart, all)
	if err != nil {
		return "", err
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	var text strings.Builder
	for _, name := range names {
		if strings.HasSuffix(name, ".yaml") && strings.TrimSpace(files[name]) != "" {
			fmt.Fprintf(&text, "---\n# Source: %s\n%s\n", name, files[name])
		} else if strings.HasSuffix(name, "NOTES.txt") && strings.TrimSpace(files[name]) == "" {
			return "", errors.New("NOTES.txt says nothing")
		}
	}
	return text.String(), nil
}

func compose(file string) error {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithInterpolation(true), cli.WithConsistency(true))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(project, "", "  ")
	if err != nil {
		return err
	}
	fmt.Println(string(text))
	return nil
}
