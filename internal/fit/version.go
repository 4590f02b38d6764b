package fit

import (
	"slices"
	"strconv"
	"strings"
)

// older reports whether a version is known and is before another. Only numbers count:
// "26.1.5+dfsg1" is 26.1.5.
func older(has, wanted string) bool {
	return has != "" && slices.Compare(numbers(has), numbers(wanted)) < 0
}

// numbers returns the numbers that a version begins with.
func numbers(version string) []int {
	var all []int
	for part := range strings.SplitSeq(version, ".") {
		digits := part[:len(part)-len(strings.TrimLeft(part, "0123456789"))]
		n, err := strconv.Atoi(digits)
		if err != nil {
			break
		}
		if all = append(all, n); digits != part {
			break
		}
	}
	return all
}

// kernelNames are processors as a kernel names the programs of others.
var kernelNames = map[string]string{"amd64": "x86_64", "arm64": "aarch64", "386": "i386"}

func asKernel(processor string) string {
	if name, other := kernelNames[processor]; other {
		return name
	}
	return processor
}

// alsoRuns are processors whose programs another one runs itself.
var alsoRuns = map[string]string{"amd64": "386", "arm64": "arm"}

// runs reports whether a host runs images of a platform, "" for its own. The variant of a
// processor does not count.
func runs(platform, arch string, emulated []string) bool {
	system, wanted, both := strings.Cut(platform, "/")
	wanted, _, _ = strings.Cut(wanted, "/")
	if !both && system != "linux" {
		system, wanted = "linux", system
	}
	if platform == "" || arch == "" || wanted == "" {
		return true
	}
	wanted = asKernel(wanted)
	native := wanted == asKernel(arch) || wanted == asKernel(alsoRuns[arch])
	return system == "linux" && (native || slices.Contains(emulated, wanted))
}
