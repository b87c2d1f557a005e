using Xunit;

namespace IotHub.Harness;

/// <summary>Tests with mosquitto_sub and mosquitto_pub.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class MosquittoTheoryAttribute : TheoryAttribute
{
    public MosquittoTheoryAttribute() => Skip = Installed.WithoutMosquitto();
}
