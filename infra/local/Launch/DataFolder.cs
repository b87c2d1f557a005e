using System.Diagnostics;
using System.Text.Json;

namespace IotHub.Local.Launch;

/// <summary>The folder that holds everything of one local hub. Whoever has it open has it alone.</summary>
public sealed class DataFolder : IDisposable
{
    private const string EndpointsName = "endpoints.json";
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private static readonly TimeSpan LeftoverPatience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan LookPause = TimeSpan.FromMilliseconds(50);

    private readonly FileStream _lock;

    private DataFolder(string path, FileStream held)
    {
        Root = path;
        _lock = held;
    }

    public string Root { get; }
    public string Storage => Make("storage");
    public string Broker => Make("broker");
    public string Logs => Make("logs");
    public string Certificates => Make("certificates");

    private string CredentialsFile => Path.Combine(Root, "credentials.json");
    private string EndpointsFile => Path.Combine(Root, EndpointsName);

    /// <exception cref="LaunchException">It cannot be written, or another launcher has it.</exception>
    public static DataFolder Open(string path)
    {
        try
        {
            if (OperatingSystem.IsWindows())
            {
                Directory.CreateDirectory(path);
            }
            else
            {
                Directory.CreateDirectory(path, OwnerOnly | UnixFileMode.UserExecute);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unwritable(path, e);
        }
        return new DataFolder(path, Hold(path));
    }

    /// <summary>Endpoints of the hub that runs on a folder now, or null.</summary>
    public static Endpoints? Running(string path)
    {
        var file = Path.Combine(path, EndpointsName);
        if (!File.Exists(file))
        {
            return null;
        }
        try
        {
            Hold(path).Dispose();
            return null;
        }
        catch (LaunchException)
        {
            return Read<Endpoints>(file);
        }
    }

    /// <summary>
    /// Takes away what a launcher that was killed left behind, after the last of its children is gone: two Azurites on one folder would
    /// damage it.
    /// </summary>
    public async Task ClearLeftovers(CancellationToken cancel)
    {
        if (!File.Exists(EndpointsFile))
        {
            return;
        }
        if (Read<Endpoints>(EndpointsFile)?.Pids is { } pids)
        {
            var since = Stopwatch.StartNew();
            while (since.Elapsed < LeftoverPatience && (IsAlive(pids.Azurite) || IsAlive(pids.Functions) || IsAlive(pids.Broker)))
            {
                await Task.Delay(LookPause, cancel);
            }
        }
        File.Delete(EndpointsFile);
    }

    public Credentials? ReadCredentials() => File.Exists(CredentialsFile)
        ? Read<Credentials>(CredentialsFile)
            ?? throw new LaunchException($"{CredentialsFile} is damaged: put it right, or delete the whole data folder to begin anew.")
        : null;

    public void Write(Credentials credentials) => WriteWhole(CredentialsFile, JsonSerializer.Serialize(credentials, LocalJson.Options));

    public void Write(Endpoints endpoints) => WriteWhole(EndpointsFile, JsonSerializer.Serialize(endpoints, LocalJson.Options));

    public void RemoveEndpoints() => File.Delete(EndpointsFile);

    /// <summary>Writes a file that only its owner can read; nobody ever sees half of it.</summary>
    public static void WriteWhole(string path, string text)
    {
        var next = path + ".next";
        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = OwnerOnly;
        }
        using (var writer = new StreamWriter(next, options))
        {
            writer.Write(text);
        }
        File.Move(next, path, overwrite: true);
    }

    public void Dispose() => _lock.Dispose();

    private static FileStream Hold(string path)
    {
        try
        {
            return new FileStream(Path.Combine(path, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (UnauthorizedAccessException e)
        {
            throw Unwritable(path, e);
        }
        catch (IOException e)
        {
            throw IsSharing(e)
                ? new LaunchException(
                    $"Another local hub runs on {path}: stop it, or give this one a folder of its own with --data DIR.", e)
                : Unwritable(path, e);
        }
    }

    /// <summary>Windows' sharing violation, or what flock answers (EWOULDBLOCK) on Linux and macOS.</summary>
    private static bool IsSharing(IOException e) => (e.HResult & 0xFFFF) is 32 or 11 or 35;

    private static LaunchException Unwritable(string path, Exception e) =>
        new($"The data folder {path} cannot be written ({e.Message.TrimEnd('.')}): choose another with --data DIR.", e);

    private static bool IsAlive(int pid)
    {
        if (pid == 0)
        {
            return false;
        }
        try
        {
            using var process = Process.GetProcessById(pid);
            return !process.HasExited;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    private static T? Read<T>(string file)
        where T : class
    {
        try
        {
            return JsonSerializer.Deserialize<T>(File.ReadAllText(file), LocalJson.Options);
        }
        catch (Exception e) when (e is JsonException or IOException)
        {
            return null;
        }
    }

    private string Make(string name) => Directory.CreateDirectory(Path.Combine(Root, name)).FullName;
}
