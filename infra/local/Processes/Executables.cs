namespace IotHub.Local.Processes;

public static class Executables
{
    /// <summary>Full path of a command on the PATH, or null.</summary>
    public static string? Find(string command)
    {
        string[] endings = OperatingSystem.IsWindows() ? [".exe", ".cmd"] : [""];
        var folders = Environment.GetEnvironmentVariable("PATH") ?? "";
        foreach (var folder in folders.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries))
        {
            foreach (var ending in endings)
            {
                var path = Path.Combine(folder, command + ending);
                if (File.Exists(path))
                {
                    return path;
                }
            }
        }
        return null;
    }
}
