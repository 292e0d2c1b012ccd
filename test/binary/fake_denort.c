/* A substitute for denort: runs the program from source and ignores the code appended to its file. */
#include <unistd.h>

int main(int count, char **arguments)
{
	(void)count;
	execv(PROGRAM, arguments);
	return 127;
}
