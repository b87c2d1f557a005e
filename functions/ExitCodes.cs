namespace IotHub.Functions;

/// <summary>
/// How the program ends. While it serves it never ends with 0: the Functions host takes 0 for "done" and does not start it again, so that
/// every later call would fail.
/// </summary>
public static class ExitCodes
{
    public const int CommandDone = 0;
    public const int Fatal = 1;
    public const int Usage = 64;

    /// <summary>Asked to stop by a signal.</summary>
    public const int Stopped = 75;
}
