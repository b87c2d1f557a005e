using System.Diagnostics;

namespace IotHub.Local.Processes;

/// <summary>
/// Starts a program in a session of its own where <c>setsid</c> exists (every Linux), so that a Ctrl-C in the terminal reaches the launcher
/// only, which then stops its children in order. <c>setsid</c> becomes the program: the process id stays the same.
/// </summary>
public static class OwnSession
{
    private static readonly string? Setsid = OperatingSystem.IsWindows() ? null : Executables.Find("setsid");

    public static ProcessStartInfo Wrap(string program, IEnumerable<string> arguments) =>
        Setsid is null ? new ProcessStartInfo(program, arguments) : new ProcessStartInfo(Setsid, [program, .. arguments]);

    /// <param name="arguments">As one text, split at spaces outside double quotes.</param>
    public static ProcessStartInfo Wrap(string program, string arguments) =>
        Setsid is null ? new ProcessStartInfo(program, arguments) : new ProcessStartInfo(Setsid, $"\"{program}\" {arguments}");
}
