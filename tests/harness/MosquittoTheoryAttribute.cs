using Xunit;

namespace IotHub.Harness;

/// <summary>
/// Tests with mosquitto_sub and mosquitto_pub, which are optional on a laptop: skipped there when they are missing. Where
/// <c>IOTHUB_TESTS_REQUIRE_ALL</c> is set, as in <c>.ci/run</c>, nothing is skipped.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class MosquittoTheoryAttribute : TheoryAttribute
{
    public MosquittoTheoryAttribute()
    {
        if (!OnPath("mosquitto_sub") && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("IOTHUB_TESTS_REQUIRE_ALL")))
        {
            Skip = "mosquitto_sub is not on the PATH: install mosquitto-clients";
        }
    }

    private static bool OnPath(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .Any(folder => File.Exists(Path.Combine(folder, program)));
}
