using Xunit;

namespace IotHub.Harness;

/// <summary>Tests with Scaleway's Go SDK, from Debian's package of its sources.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class GoSdkFactAttribute : FactAttribute
{
    public GoSdkFactAttribute() => Skip = Installed.WithoutGoSdk();
}
