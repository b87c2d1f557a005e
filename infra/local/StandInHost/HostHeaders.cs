namespace IotHub.Local.StandInHost;

/// <summary>Headers that the Functions host puts on what it sends to a handler.</summary>
public static class HostHeaders
{
    public const string HostVersion = "X-Azure-Functions-HostVersion";
    public const string InvocationId = "X-Azure-Functions-InvocationId";
    public const string ProxiedInvocationId = "x-ms-invocation-id";

    /// <summary>The host that this stand-in behaves like.</summary>
    public const string HostVersionValue = "4.1052.200.0";

    public const string UserAgent = "Azure-Functions-Host/" + HostVersionValue;
}
