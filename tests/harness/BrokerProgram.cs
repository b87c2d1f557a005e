namespace IotHub.Harness;

/// <summary>The broker as the build of this checkout left it, in the configuration that the tests run in.</summary>
public static class BrokerProgram
{
#if DEBUG
    private const string Configuration = "Debug";
#else
    private const string Configuration = "Release";
#endif

    public static string Path { get; } = RepositoryRoot.Combine("broker-container", "bin", Configuration, "net10.0", "IotHub.Broker");
}
