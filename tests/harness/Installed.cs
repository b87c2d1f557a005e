namespace IotHub.Harness;

/// <summary>
/// Real parts that are optional on a laptop: tests with them are skipped there when they are missing. Where
/// <c>IOTHUB_TESTS_REQUIRE_ALL</c> is set, as in <c>.ci/run</c>, nothing is skipped.
/// </summary>
public static class Installed
{
    /// <summary>Where Debian's package puts the sources of Go libraries.</summary>
    public const string GoPath = "/usr/share/gocode";

    private static readonly string[] _goSdk = ["src", "github.com", "scaleway", "scaleway-sdk-go", "api", "iot", "v1"];

    /// <summary>Why tests with Mosquitto's clients are skipped; null when they are not.</summary>
    public static string? WithoutMosquitto() =>
        IsAllRequired || OnPath("mosquitto_sub") ? null : "mosquitto_sub is not on the PATH: install mosquitto-clients";

    /// <summary>Why tests with Scaleway's Go SDK are skipped; null when they are not.</summary>
    public static string? WithoutGoSdk() =>
        IsAllRequired ? null
        : !OnPath("go") ? "go is not on the PATH: install golang-go"
        : !Directory.Exists(Path.Combine([GoPath, .. _goSdk])) ? "install golang-github-scaleway-scaleway-sdk-go-dev"
        : null;

    private static bool IsAllRequired => !string.IsNullOrEmpty(Environment.GetEnvironmentVariable("IOTHUB_TESTS_REQUIRE_ALL"));

    private static bool OnPath(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .Any(folder => File.Exists(Path.Combine(folder, program)));
}
